#include "formats/demo_config.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/family_configs.h"

namespace tessera {
namespace {

// As published for the demo; every field that is not the demo's default is there.
constexpr const char* kDemo16B = R"({
  "vocab_size": 102400, "dim": 2048, "inter_dim": 10944, "moe_inter_dim": 1408, "n_layers": 27,
  "n_dense_layers": 1, "n_heads": 16, "n_routed_experts": 64, "n_shared_experts": 2,
  "n_activated_experts": 6, "route_scale": 1.0, "q_lora_rank": 0, "kv_lora_rank": 512,
  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "mscale": 0.707})";
constexpr const char* kDemo236B = R"({
  "vocab_size": 102400, "dim": 5120, "inter_dim": 12288, "moe_inter_dim": 1536, "n_layers": 60,
  "n_dense_layers": 1, "n_heads": 128, "n_routed_experts": 160, "n_shared_experts": 2,
  "n_activated_experts": 6, "n_expert_groups": 8, "n_limited_groups": 3, "route_scale": 16.0,
  "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128})";
constexpr const char* kDemo671B = R"({
  "vocab_size": 129280, "dim": 7168, "inter_dim": 18432, "moe_inter_dim": 2048, "n_layers": 61,
  "n_dense_layers": 3, "n_heads": 128, "n_routed_experts": 256, "n_shared_experts": 1,
  "n_activated_experts": 8, "n_expert_groups": 8, "n_limited_groups": 4, "route_scale": 2.5,
  "score_func": "sigmoid", "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
  "qk_rope_head_dim": 64, "v_head_dim": 128, "dtype": "fp8"})";

Json Parsed(std::string_view text) { return *ParseJson(text); }

Json Hf(const Json& demo, const DemoContents& contents = {}) {
  Result<Json> config = HfConfig(demo, contents);
  if (!config) throw std::runtime_error(config.error().Text());
  return *std::move(config);
}

Json BackAgain(const Json& hf, bool fp8 = false, bool ue8m0 = false) {
  return *DemoConfig(hf, *ModelSpec::FromConfig(hf), fp8, ue8m0);
}

// In the order of the published files too.
TEST(DemoConfig, ThePublishedFilesComeBackTheWayTheyWere) {
  EXPECT_EQ(BackAgain(Hf(Parsed(kDemo16B))).dump(), Parsed(kDemo16B).dump());
  EXPECT_EQ(BackAgain(Hf(Parsed(kDemo236B))).dump(), Parsed(kDemo236B).dump());
  EXPECT_EQ(BackAgain(Hf(Parsed(kDemo671B)), true).dump(), Parsed(kDemo671B).dump());
  Json v31 = Parsed(kDemo671B);
  v31["scale_fmt"] = "ue8m0";
  EXPECT_EQ(BackAgain(Hf(v31), true, true).dump(), v31.dump());
  Json v32 = v31;
  v32["index_n_heads"] = 64;
  v32["index_head_dim"] = 128;
  v32["index_topk"] = 2048;
  EXPECT_EQ(BackAgain(Hf(v32), true, true).dump(), v32.dump());
}

TEST(DemoConfig, PublishedFilesAreTheFamiliesThatTheyDescribe) {
  const auto family = [](const Json& demo, const DemoContents& contents = {}) {
    return Name(ModelSpec::FromConfig(Hf(demo, contents))->family());
  };
  Json v31 = Parsed(kDemo671B);
  v31["scale_fmt"] = "ue8m0";
  EXPECT_EQ(family(Parsed(kDemo16B)), "v2-lite");
  EXPECT_EQ(family(Parsed(kDemo236B)), "v2");
  EXPECT_EQ(family(Parsed(kDemo671B)), "v3");
  EXPECT_EQ(family(v31), "v3.1");
  EXPECT_EQ(family(v31, {.mtp_layers = 0, .indexer = true}), "v3.2");
}

// What the demo fixes in code or leaves to its defaults, as the released V3 states it.
TEST(DemoConfig, WhatTheDemoImpliesIsSpeltOut) {
  const Json hf = Hf(Parsed(kDemo671B), {.mtp_layers = 1, .indexer = false});
  const Json expected = Parsed(R"({
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
    "max_position_embeddings": 163840, "n_group": 8, "topk_group": 4, "norm_topk_prob": true,
    "num_nextn_predict_layers": 1, "rms_norm_eps": 1e-06, "rope_theta": 10000,
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0,
        "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"},
    "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
    "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
        "weight_block_size": [128, 128]}, "torch_dtype": "bfloat16"})");
  for (const auto& [field, value] : expected.items()) EXPECT_EQ(hf[field], value) << field;
  const Json lite = Hf(Parsed(kDemo16B));
  EXPECT_EQ(lite["topk_method"], "greedy");
  EXPECT_EQ(lite["norm_topk_prob"], false);
  EXPECT_EQ(lite["rope_scaling"]["mscale_all_dim"], 0.707);
  EXPECT_FALSE(lite.contains("quantization_config"));
  EXPECT_EQ(Hf(Parsed(kDemo236B))["topk_method"], "group_limited_greedy");
}

// There and back: whatever names and shapes tensors stays. Of GLM-5 the demo knows nothing.
TEST(DemoConfig, EveryFamilysDimensionsComeBack) {
  for (const FamilyConfig& released : kFamilyConfigs) {
    if (released.family == Family::kGlm5) continue;
    Json config = Parsed(released.config);
    const ModelSpec spec = *ModelSpec::FromConfig(config);
    config["routed_scaling_factor"] = 2.5;
    config["scoring_func"] = spec.has_router_bias ? "sigmoid" : "softmax";
    config["n_group"] = released.family == Family::kV2 ? 8 : 1;
    const Json hf = Hf(BackAgain(config), {.mtp_layers = spec.num_nextn_predict_layers});
    const ModelSpec again = *ModelSpec::FromConfig(hf);
    std::vector<std::string> names, names_again;
    spec.ForEach([&](const TensorRole& role) {
      names.push_back(spec.NameOf(role) + ToString(*spec.ShapeOf(role)));
    });
    again.ForEach([&](const TensorRole& role) {
      names_again.push_back(again.NameOf(role) + ToString(*again.ShapeOf(role)));
    });
    EXPECT_EQ(names, names_again) << Name(released.family);
  }
}

// The demo stretches by 40 unless told otherwise.
TEST(DemoConfig, AModelWithoutYarnIsNotStretched) {
  Json config = Parsed(kMoonlightConfig);
  config["routed_scaling_factor"] = 2.446;
  config["scoring_func"] = "sigmoid";
  config["max_position_embeddings"] = 8192;
  const Json demo = BackAgain(config);
  EXPECT_EQ(demo["rope_factor"], 1);
  EXPECT_EQ(demo["original_seq_len"], 8192);
  EXPECT_TRUE(Hf(demo)["rope_scaling"].is_null());
  EXPECT_EQ(Hf(demo)["max_position_embeddings"], 8192);
}

TEST(DemoConfig, FieldsThatTheDemoDoesNotKnowAreRefused) {
  const auto refused = [](const char* field, const Json& value) {
    Json demo = Parsed(kDemo671B);
    demo[field] = value;
    const Result<Json> hf = HfConfig(demo, {});
    return !hf && hf.error().code() == ErrorCode::kBadConfig;
  };
  EXPECT_TRUE(refused("n_layer", 61));
  EXPECT_TRUE(refused("hidden_size", 7168));
  EXPECT_TRUE(refused("dtype", "int8"));
  EXPECT_TRUE(refused("scale_fmt", "e4m3"));
  EXPECT_TRUE(refused("score_func", 1));
  EXPECT_TRUE(refused("rope_factor", "40"));
  EXPECT_TRUE(refused("original_seq_len", -1));
  EXPECT_FALSE(refused("max_seq_len", 4096));
  EXPECT_FALSE(HfConfig(Json::array(), {}));
}

}  // namespace
}  // namespace tessera
