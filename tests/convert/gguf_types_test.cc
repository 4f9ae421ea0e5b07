#include "convert/gguf_types.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "formats/json.h"

namespace tessera {
namespace {

// "0-2,5" holds 0, 1, 2 and 5.
bool Holds(const std::string& runs, int layer) {
  std::istringstream list(runs);
  for (std::string run; std::getline(list, run, ',');) {
    const size_t dash = run.find('-');
    const int first = std::stoi(run);
    const int last = dash == std::string::npos ? first : std::stoi(run.substr(dash + 1));
    if (first <= layer && layer <= last) return true;
  }
  return false;
}

struct Tensor {
  std::string name, pattern;  // "blk.3.attn_k_b.weight", "blk.*.attn_k_b.weight"
  int layer;
  Shape shape;
};

std::vector<Tensor> TensorsOf(const Json& golden) {
  std::vector<Tensor> tensors;
  for (const auto& [pattern, entry] : golden.at("tensors").items()) {
    Shape shape = entry.at("ne").get<Shape>();
    std::ranges::reverse(shape);
    const size_t star = pattern.find('*');
    if (star == std::string::npos) {
      tensors.push_back({pattern, pattern, -1, shape});
      continue;
    }
    for (int layer = 0; layer < 512; ++layer) {
      if (!Holds(entry.at("layers").get<std::string>(), layer)) continue;
      std::string name = pattern;
      name.replace(star, 1, std::to_string(layer));
      tensors.push_back({name, pattern, layer, shape});
    }
  }
  return tensors;
}

std::string WantedType(const Json& model, const Json& mix, const Tensor& tensor) {
  for (const Json& pattern : model.at("f32")) {
    if (pattern == tensor.pattern) return "F32";
  }
  if (!mix.at("others").contains(tensor.pattern)) return mix.at("base");
  const Json& other = mix.at("others").at(tensor.pattern);
  if (other.is_string()) return other;
  for (const auto& [type, layers] : other.items()) {
    if (Holds(layers, tensor.layer)) return type;
  }
  return mix.at("base");
}

TEST(GgufTypes, EveryTensorOfEveryModelHasTheTypeThatLlamaQuantizeChooses) {
  std::ifstream file(TESSERA_TEST_DIR "/golden/gguf_types.json");
  const Json golden = Json::parse(file);
  size_t judged = 0;
  for (const auto& [name, model] : golden.at("models").items()) {
    const std::vector<Tensor> tensors = TensorsOf(model);
    GgufModel facts;
    for (const Tensor& tensor : tensors) {
      facts.layers = std::max(facts.layers, static_cast<uint32_t>(tensor.layer + 1));
      if (tensor.name.find("ffn_up_exps") != std::string::npos) {
        facts.experts = static_cast<uint32_t>(tensor.shape[0]);
      }
    }
    for (const auto& [spelling, mix_golden] : model.at("mixes").items()) {
      const size_t space = spelling.find(' ');  // "Q4_0 imatrix"
      facts.weighted = space != std::string::npos;
      const GgufMix* mix = FindGgufMix(spelling.substr(0, space));
      ASSERT_NE(mix, nullptr) << spelling;
      Result<GgufTypes> types = GgufTypes::Make(*mix, {}, facts);
      ASSERT_TRUE(types);
      double bytes = 0;
      for (const Tensor& tensor : tensors) {
        const auto role = ParseGgufName(tensor.name);
        ASSERT_TRUE(role) << tensor.name;
        const Result<Dtype> dtype = types->Choose(tensor.name, *role, tensor.shape, true);
        ASSERT_TRUE(dtype) << tensor.name;
        EXPECT_EQ(Name(*dtype), WantedType(model, mix_golden, tensor))
            << name << " " << spelling << " " << tensor.name;
        bytes += static_cast<double>(TensorInfo::Make("", *dtype, tensor.shape)->bytes());
        ++judged;
      }
      EXPECT_NEAR(bytes / (1 << 20), mix_golden.at("MiB").get<double>(), 0.006)
          << name << " " << spelling;
    }
  }
  EXPECT_GT(judged, 60000u);
}

GgufTypes Make(const char* mix, std::span<const GgufTypeRule> rules, GgufModel model = {}) {
  Result<GgufTypes> types = GgufTypes::Make(*FindGgufMix(mix), rules, model);
  EXPECT_TRUE(types);
  return *std::move(types);
}

Result<Dtype> Choose(GgufTypes& types, const std::string& name, Shape shape,
                     bool measured = false) {
  return types.Choose(name, *ParseGgufName(name), shape, measured);
}

// As docs/gguf.md spells it.
TEST(GgufTypes, ADynamicMixIsWhatItsRulesSay) {
  std::ifstream file(TESSERA_TEST_DIR "/golden/gguf_types.json");
  const Json model = Json::parse(file).at("models").at("DeepSeek-V3");
  std::vector<GgufTypeRule> rules;
  for (const char* text :
       {"attn_(k_b|v_b|kv_a_mqa)=Q8_0", "ffn_(gate|up|down)(_shexp)?\\.|^output=Q6_K",
        "ffn_down_exps=Q3_K", "attn_|token_embd=Q4_K"}) {
    rules.push_back(ParseGgufTypeRule(text).value());
  }
  GgufTypes ruled = Make("Q2_K", rules, {.layers = 61, .experts = 256});
  GgufTypes dynamic = Make("dynamic-Q2", {}, {.layers = 61, .experts = 256});
  for (const Tensor& tensor : TensorsOf(model)) {
    EXPECT_EQ(Choose(ruled, tensor.name, tensor.shape).value(),
              Choose(dynamic, tensor.name, tensor.shape).value())
        << tensor.name;
  }
  EXPECT_TRUE(ruled.CheckRules());
}

TEST(GgufTypes, TheFirstRuleThatMatchesCountsInAnyCaseOfLetters) {
  std::vector<GgufTypeRule> rules;
  for (const char* text : {"FFN_DOWN_EXPS=q3_K", "ffn_.*_exps=Q2_K", "blk\\.[0-3]\\.=bf16"}) {
    rules.push_back(ParseGgufTypeRule(text).value());
  }
  GgufTypes types = Make("Q4_K_M", rules);
  EXPECT_EQ(Choose(types, "blk.3.ffn_down_exps.weight", {4, 256, 256}), Dtype::kQ3_K);
  EXPECT_EQ(Choose(types, "blk.3.ffn_up_exps.weight", {4, 256, 256}), Dtype::kQ2_K);
  EXPECT_FALSE(types.CheckRules());  // the third has not been met yet
  EXPECT_EQ(Choose(types, "blk.3.attn_output.weight", {256, 256}), Dtype::kBF16);
  EXPECT_EQ(Choose(types, "blk.13.attn_output.weight", {256, 256}), Dtype::kQ4_K);
  EXPECT_TRUE(types.CheckRules());
}

TEST(GgufTypes, WhatTheLoaderWantsInF32NoRuleChanges) {
  const std::vector<GgufTypeRule> rules = {ParseGgufTypeRule(".=Q8_0").value()};
  GgufTypes types = Make("Q4_K_M", rules);
  EXPECT_EQ(Choose(types, "blk.3.attn_norm.weight", {256}), Dtype::kF32);
  EXPECT_EQ(Choose(types, "blk.3.ffn_gate_inp.weight", {16, 256}), Dtype::kF32);
  EXPECT_EQ(Choose(types, "blk.3.exp_probs_b.bias", {16}), Dtype::kF32);
  EXPECT_FALSE(types.CheckRules());
}

TEST(GgufTypes, RowsThatAreNoWholeBlocksFallBackAsLlamaQuantizeHasThem) {
  const std::tuple<const char*, uint64_t, const char*> want[] = {
      {"Q2_K", 128, "Q4_0"}, {"Q3_K", 128, "Q4_0"},   {"Q4_K", 128, "Q5_0"},
      {"Q5_K", 128, "Q5_1"}, {"Q6_K", 128, "Q8_0"},   {"IQ4_XS", 128, "IQ4_NL"},
      {"Q4_K", 40, "F16"},   {"Q8_0", 40, nullptr},   {"Q4_0", 40, nullptr},
      {"BF16", 40, "BF16"},  {"IQ4_NL", 40, nullptr}, {"MXFP4", 40, nullptr},
  };
  for (const auto& [type, cols, chosen] : want) {
    const std::vector<GgufTypeRule> rules = {
        ParseGgufTypeRule(std::string("attn_q_a=") + type).value()};
    GgufTypes types = Make("Q4_K_M", rules);
    const Result<Dtype> dtype = Choose(types, "blk.1.attn_q_a.weight", {7, cols});
    ASSERT_EQ(dtype.has_value(), chosen != nullptr) << type;
    if (dtype) {
      EXPECT_EQ(Name(*dtype), chosen) << type;
    } else {
      EXPECT_EQ(dtype.error().code(), ErrorCode::kUnsupported);
    }
  }
}

TEST(GgufTypes, OnlyQ2KSNeedsImportanceAndNotForEmbeddings) {
  for (const GgufMix& mix : GgufMixes()) {
    GgufTypes types = Make(std::string(mix.name).c_str(), {});
    EXPECT_EQ(Choose(types, "blk.1.attn_q_a.weight", {256, 256}).has_value(),
              mix.id != GgufMixId::kQ2_K_S)
        << mix.name;
    EXPECT_TRUE(Choose(types, "blk.1.attn_q_a.weight", {256, 256}, true)) << mix.name;
    EXPECT_TRUE(Choose(types, "token_embd.weight", {256, 256})) << mix.name;
    EXPECT_TRUE(Choose(types, "output.weight", {256, 256})) << mix.name;
  }
}

TEST(GgufTypes, AnEmbeddingThatIsTheHeadHasItsType) {
  GgufTypes types = Make("Q4_K_M", {}, {.layers = 4, .experts = 16, .tied = true});
  EXPECT_EQ(Choose(types, "token_embd.weight", {256, 256}), Dtype::kQ6_K);
}

TEST(GgufTypes, MalformedRulesAreRefused) {
  for (const char* text : {"", "=Q8_0", "ffn_down", "ffn_down=", "ffn_down=Q9_K", "x=IQ2_XS"}) {
    const Result<GgufTypeRule> rule = ParseGgufTypeRule(text);
    ASSERT_FALSE(rule) << text;
    EXPECT_EQ(rule.error().code(), ErrorCode::kUsage);
  }
  const std::vector<GgufTypeRule> rules = {ParseGgufTypeRule("(=Q8_0").value()};
  EXPECT_FALSE(GgufTypes::Make(GgufMixes()[0], rules, {}));
}

}  // namespace
}  // namespace tessera
