// Our matching of names against the engines' own functions: see tests/golden/make_engine_golden.py.
#include "convert/engines/name_rule.h"

#include <gtest/gtest.h>

#include <set>

#include "convert/engines/ignore_list.h"
#include "formats/json.h"

namespace tessera {
namespace {

Json Golden(const std::string& name) {
  Result<Json> json = ReadJsonFile(TESSERA_TEST_DIR "/golden/engines/" + name);
  EXPECT_TRUE(json) << json.error().Text();
  return *json;
}

constexpr EngineNames kVllmNames{.a_projections = "fused_qkv_a_proj", .gate_up = "gate_up_proj"};
constexpr EngineNames kSglangNames{.a_projections = "fused_qkv_a_proj_with_mqa",
                                   .gate_up = "gate_up_proj",
                                   .mtp_layer = "model.decoder"};

struct GoldenRule {
  std::string_view name;
  NameRule rule;
  const EngineNames& names;
};
const GoldenRule kGoldenRules[] = {
    {"ct-vllm", NameRule::kCtVllm, kVllmNames},
    {"ct-sglang", NameRule::kCtSglang, kSglangNames},
    {"int8-sglang", NameRule::kInt8Sglang, kSglangNames},
    {"awq-vllm", NameRule::kAwqVllm, kVllmNames},
    {"awq-sglang", NameRule::kAwqSglang, kSglangNames},
    {"fp8-vllm", NameRule::kFp8Vllm, kVllmNames},
    {"fp8-sglang", NameRule::kFp8Sglang, kSglangNames},
    {"block-int8-sglang", NameRule::kBlockInt8Sglang, kSglangNames},
    {"gptq-vllm", NameRule::kGptq, kVllmNames},
    {"gptq-sglang", NameRule::kGptqSglang, kSglangNames},
};

TEST(NameRule, AnswersWhatTheEnginesOwnFunctionsAnswer) {
  const Json golden = Golden("names.json");
  const Result<ModelSpec> spec = ModelSpec::FromConfig(golden.at("model"));
  ASSERT_TRUE(spec) << spec.error().Text();
  for (const Json& json : golden.at("cases")) {
    const auto rule = std::ranges::find(kGoldenRules, json.at("rule").get<std::string>(),
                                        [](const GoldenRule& r) { return std::string(r.name); });
    ASSERT_NE(rule, std::end(kGoldenRules)) << json.at("rule");
    auto entries = json.at("list").get<std::vector<std::string>>();
    if (rule->rule == NameRule::kFp8Sglang) {
      for (size_t i = entries.size(); i-- > 0;) entries.push_back("model." + entries[i]);
      for (size_t i = entries.size(); i-- > 0;) {
        if (entries[i].starts_with("model.")) entries.push_back(entries[i].substr(6));
      }
    }
    const bool gptq = rule->rule == NameRule::kGptq || rule->rule == NameRule::kGptqSglang;
    const auto list =
        NameList::Parse(entries, gptq ? NameList::Kind::kGptqDynamic : NameList::Kind::kPlain);
    ASSERT_TRUE(list) << list.error().Text();
    std::set<std::string> unquantized, refused;
    const std::vector<EngineModule> asked = ModulesAsked(*spec, rule->names);
    for (const EngineModule& module : asked) {
      const Result<bool> answer = IsUnquantized(rule->rule, module, *list);
      if (!answer) {
        refused.insert(module.name);
      } else if (*answer) {
        unquantized.insert(module.name);
      }
    }
    const std::string what = json.at("rule").get<std::string>() + " " + json.at("list").dump();
    EXPECT_EQ(unquantized, json.at("unquantized").get<std::set<std::string>>()) << what;
    EXPECT_EQ(refused, json.at("refused").get<std::set<std::string>>()) << what;
    EXPECT_EQ(asked.size(), json.at("asked").get<size_t>()) << what;
  }
}

TEST(Pattern, MatchesWhatPythonMatches) {
  const Json golden = Golden("patterns.json");
  for (const Json& json : golden.at("cases")) {
    const auto text = json.at("pattern").get<std::string>();
    const Result<Pattern> pattern = Pattern::Compile(text);
    ASSERT_TRUE(pattern) << text << ": " << pattern.error().Text();
    const auto matches = json.at("matches").get<std::set<std::string>>();
    for (const Json& name : golden.at("names")) {
      EXPECT_EQ(pattern->MatchesStart(name.get<std::string>()),
                matches.contains(name.get<std::string>()))
          << text << " on " << name;
    }
  }
}

TEST(Pattern, RefusesWhatPythonRefusesAndWhatItDoesNotKnow) {
  for (const Json& text : Golden("patterns.json").at("refused")) {
    EXPECT_FALSE(Pattern::Compile(text.get<std::string>())) << text;
  }
  for (const char* text : {"(?i)model", "(a)\\1", "(?<=m)o", "\\x41", "a{1,100000}"}) {
    EXPECT_EQ(Pattern::Compile(text).error().code(), ErrorCode::kUnsupported) << text;
  }
}

TEST(Pattern, TakesTimeThatDoesNotExplodeWithTheName) {
  const std::string name(2000, 'a');
  for (const char* text : {"(a+)+$b", "(a|a)*b", "(.*)*x", "(a?){500}b", "(?=(a+)+b)a"}) {
    const Result<Pattern> pattern = Pattern::Compile(text);
    ASSERT_TRUE(pattern) << text;
    EXPECT_FALSE(pattern->MatchesStart(name)) << text;
  }
}

struct Reader {
  std::string_view scheme;
  NameRule rule;
  const EngineNames& names;
};
const Reader kReaders[] = {
    {"w4a16", NameRule::kCtVllm, kVllmNames},
    {"w4a16", NameRule::kCtSglang, kSglangNames},
    {"w4a16", NameRule::kCtSglangSubstring, kSglangNames},
    {"w8a8", NameRule::kCtVllm, kVllmNames},
    {"w8a8", NameRule::kInt8Sglang, kSglangNames},
    {"awq", NameRule::kAwqVllm, kVllmNames},
    {"awq", NameRule::kAwqSglang, kSglangNames},
    {"gptq4", NameRule::kGptq, kVllmNames},
    {"gptq4", NameRule::kGptqSglang, kSglangNames},
    {"fp8-block", NameRule::kFp8Vllm, kVllmNames},
    {"fp8-block", NameRule::kFp8Sglang, kSglangNames},
    {"int8-block", NameRule::kBlockInt8Sglang, kSglangNames},
};

// Which linears are left unquantized, by their name.
using Leaves = bool (*)(std::string_view module);
constexpr Leaves kLeaves[] = {
    [](std::string_view) { return false; },
    [](std::string_view m) { return m.find(".experts.") == m.npos; },
    [](std::string_view m) { return m.find("kv_b_proj") != m.npos; },
    [](std::string_view m) { return m.find("self_attn") != m.npos; },
    [](std::string_view m) { return m.starts_with("model.layers.12."); },
    [](std::string_view m) { return m.starts_with("model.layers.1."); },
    [](std::string_view m) { return m.starts_with("model.layers.12.mlp"); },
    [](std::string_view m) { return m.find("o_proj") != m.npos || m.find("layers.0.") != m.npos; },
};

TEST(SpellUnquantized, EveryEngineTakesTheListForWhatItWasMadeOf) {
  const Result<ModelSpec> spec = ModelSpec::FromConfig(Golden("names.json").at("model"));
  ASSERT_TRUE(spec);
  for (const Reader& reader : kReaders) {
    const bool gptq = reader.scheme == "gptq4";
    const bool never =
        reader.rule == NameRule::kGptqSglang || reader.rule == NameRule::kBlockInt8Sglang;
    for (size_t i = 0; i < std::size(kLeaves); ++i) {
      std::vector<std::string> modules;
      spec->ForEach([&](const TensorRole& role) {
        if (SetOf(role) == 0 || role.part != Part::kWeight) return;
        std::string name = spec->NameOf(role);
        name.resize(name.rfind('.'));
        if (kLeaves[i](name)) modules.push_back(std::move(name));
      });
      const auto entries = SpellUnquantized(*spec, reader.scheme, modules);
      const auto list =
          NameList::Parse(entries, gptq ? NameList::Kind::kGptqDynamic : NameList::Kind::kPlain);
      ASSERT_TRUE(list) << list.error().Text();
      EXPECT_LT(entries.size(), 200u);
      for (const EngineModule& module : ModulesAsked(*spec, reader.names)) {
        // These take all experts for quantized, whatever a list says.
        if (never && module.set == kRoutedExperts) continue;
        const Result<bool> answer = IsUnquantized(reader.rule, module, *list);
        ASSERT_TRUE(answer) << answer.error().Text();
        EXPECT_EQ(*answer, kLeaves[i](module.parts[0]))
            << reader.scheme << ", rule " << static_cast<int>(reader.rule) << ", case " << i << ", "
            << module.name << ": " << Json(entries).dump();
      }
    }
  }
}

}  // namespace
}  // namespace tessera
