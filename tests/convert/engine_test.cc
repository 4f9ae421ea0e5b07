#include "convert/engines/engine.h"

#include <gtest/gtest.h>

#include <set>

#include "formats/json.h"
#include "tests/support/family_configs.h"

namespace tessera {
namespace {

ModelSpec V3() { return *ModelSpec::FromConfig(*ParseJson(kV3Config)); }

Error RefusalOf(const char* engine, const SchemeChoice& choice) {
  const Result<void> accepted = (*FindEngine(engine))->Accepts(V3(), choice);
  EXPECT_FALSE(accepted) << engine << " " << choice.scheme;
  return accepted ? Error(ErrorCode::kInternal, "") : accepted.error();
}

TEST(Engine, TablesNameEachSchemeOnceAndSayWhyAndWhatInstead) {
  std::set<std::string_view> names;
  for (const EngineProfile* engine : Engines()) {
    EXPECT_TRUE(names.insert(engine->name).second) << engine->name;
    EXPECT_NE(engine->judge, nullptr);
    EXPECT_FALSE(engine->version.empty() || engine->judged.empty()) << engine->name;
    std::set<std::string_view> schemes;
    for (const SchemeRule& rule : engine->schemes) {
      EXPECT_TRUE(schemes.insert(rule.scheme).second) << engine->name << " " << rule.scheme;
      EXPECT_EQ(rule.must & ~rule.may, 0) << engine->name << " " << rule.scheme;
      EXPECT_EQ(rule.loads, rule.nearest.empty()) << engine->name << " " << rule.scheme;
      const bool restricted = !rule.loads || rule.may != kAllLinears || rule.must != 0;
      EXPECT_TRUE(!restricted || !rule.reason.empty() || rule.scheme == "trtllm-w4a8")
          << engine->name << " " << rule.scheme;
    }
    const uint32_t ranks = engine->loads_ranks ? 8 : 0;
    EXPECT_TRUE(engine->Accepts(V3(), {.scheme = "bf16", .ranks = ranks})) << engine->name;
    EXPECT_FALSE(engine->Accepts(V3(), {.scheme = "bf16", .ranks = 8 - ranks})) << engine->name;
  }
  EXPECT_EQ(names.size(), 11u);
  EXPECT_EQ(FindEngine("vlm").error().code(), ErrorCode::kUsage);
}

TEST(Engine, RefusesWithTheReasonAndTheNearestThatLoads) {
  EXPECT_EQ(RefusalOf("vllm", {.scheme = "int8-block"}).next(),
            "nearest that loads: w8a8, a scale a row");
  EXPECT_EQ(RefusalOf("lightllm", {.scheme = "gptq4"}).next(), "nearest that loads: fp8-block");
  EXPECT_EQ(RefusalOf("sglang", {.scheme = "w4a16", .modules = kAllLinears}).next(),
            "nearest that loads: routed experts");
  EXPECT_EQ(RefusalOf("sglang", {.scheme = "awq", .modules = kRoutedExperts}).next(),
            "nearest that loads: routed experts, q_a_proj and kv_a_proj_with_mqa");
  EXPECT_EQ(RefusalOf("vllm-ascend", {.scheme = "w4a16", .group = 128}).code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(RefusalOf("sglang", {.scheme = "w4afp8", .mtp = MtpWeights::kFloat}).code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(RefusalOf("vllm", {.scheme = "w4a16", .negative_scales = true}).code(),
            ErrorCode::kUnsupported);
  EXPECT_TRUE(
      (*FindEngine("transformers"))->Accepts(V3(), {.scheme = "w4a16", .negative_scales = true}));
}

TEST(Engine, AllowsTheDegreesThatLeaveBlocksAndGroupsWhole) {
  const ModelSpec spec = V3();
  EXPECT_TRUE(CheckTp(spec, "fp8-block", 128, 16));
  EXPECT_FALSE(CheckTp(spec, "fp8-block", 128, 32));
  EXPECT_TRUE(CheckTp(spec, "w4a16", 32, 64));
  EXPECT_FALSE(CheckTp(spec, "w4a16", 128, 32));
  EXPECT_TRUE(CheckTp(spec, "w8a8", 0, 32));
  EXPECT_FALSE(CheckTp(spec, "bf16", 0, 3));
}

TEST(Engine, AdjustsTheModulesAndPrintsTheFlags) {
  const EngineProfile& sglang = **FindEngine("sglang");
  EXPECT_EQ(sglang.Limit("w4a16", kAllLinears), kRoutedExperts);
  EXPECT_EQ(sglang.Limit("awq", kRoutedExperts), kRoutedExperts | kAProjections);
  using Flags = std::vector<std::string>;
  EXPECT_EQ(sglang.LaunchFlags(V3(), {.scheme = "w4a16"}),
            Flags{"--disable-shared-experts-fusion"});
  EXPECT_EQ(sglang.LaunchFlags(V3(), {.scheme = "w8a8", .modules = kAllLinears}),
            Flags{"--quantization w8a8_int8"});
  EXPECT_TRUE(sglang.LaunchFlags(V3(), {.scheme = "w4afp8"}).empty());
  EXPECT_TRUE((*FindEngine("vllm"))->LaunchFlags(V3(), {.scheme = "w4a16"}).empty());
}

}  // namespace
}  // namespace tessera
