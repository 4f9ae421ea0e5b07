#include "convert/gguf_metadata.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

namespace tessera {
namespace {

Json ReleasedConfig(const std::string& model) {
  std::ifstream file(TESSERA_TEST_DIR "/golden/gguf_configs.json");
  return Json::parse(file).at(model);
}

Result<GgufConfig> ConfigOf(const Json& config, bool mtp = false) {
  const Result<ModelSpec> spec = ModelSpec::FromConfig(config);
  EXPECT_TRUE(spec) << spec.error().Text();
  return GgufConfig::Of(config, *spec, "config.json", mtp);
}

GgufMetadata MetadataOf(const Json& json, bool mtp = false, const Json& generation = {}) {
  const ModelSpec spec = ModelSpec::FromConfig(json).value();
  const Result<GgufConfig> config = GgufConfig::Of(json, spec, "config.json", mtp);
  EXPECT_TRUE(config) << config.error().Text();
  const Result<GgufMetadata> metadata = ModelMetadata(
      {.spec = &spec, .config = &*config, .name = "", .size_label = "256x20B", .mtp = mtp},
      generation);
  EXPECT_TRUE(metadata);
  return *metadata;
}

// Each of these is loaded without complaint when it is missing, wrong or of another meaning, and
// then the model answers nonsense.
TEST(GgufMetadata, OfV3IsWhatTheConverterWritesKeyByKey) {
  const GgufMetadata want = {
      {"general.architecture", std::string("deepseek2")},
      {"general.type", std::string("model")},
      {"general.sampling.top_p", 0.95f},
      {"general.sampling.temp", 0.6f},
      {"general.size_label", std::string("256x20B")},
      {"deepseek2.block_count", uint32_t{61}},
      {"deepseek2.context_length", uint32_t{163840}},
      {"deepseek2.embedding_length", uint32_t{7168}},
      {"deepseek2.feed_forward_length", uint32_t{18432}},
      {"deepseek2.attention.head_count", uint32_t{128}},
      {"deepseek2.attention.head_count_kv", uint32_t{1}},
      {"deepseek2.rope.scaling.type", std::string("yarn")},
      {"deepseek2.rope.scaling.factor", 40.0f},
      {"deepseek2.rope.scaling.original_context_length", uint32_t{4096}},
      {"deepseek2.rope.scaling.yarn_beta_fast", 32.0f},
      {"deepseek2.rope.scaling.yarn_beta_slow", 1.0f},
      {"deepseek2.rope.freq_base", 10000.0f},
      {"deepseek2.attention.layer_norm_rms_epsilon", 1e-6f},
      {"deepseek2.expert_count", uint32_t{256}},
      {"deepseek2.expert_used_count", uint32_t{8}},
      {"deepseek2.expert_group_count", uint32_t{8}},
      {"deepseek2.expert_group_used_count", uint32_t{4}},
      {"deepseek2.expert_gating_func", uint32_t{2}},
      {"deepseek2.leading_dense_block_count", uint32_t{3}},
      {"deepseek2.vocab_size", uint32_t{129280}},
      {"deepseek2.attention.q_lora_rank", uint32_t{1536}},
      {"deepseek2.attention.kv_lora_rank", uint32_t{512}},
      {"deepseek2.attention.key_length", uint32_t{576}},
      {"deepseek2.attention.value_length", uint32_t{512}},
      {"deepseek2.attention.key_length_mla", uint32_t{192}},
      {"deepseek2.attention.value_length_mla", uint32_t{128}},
      {"deepseek2.expert_feed_forward_length", uint32_t{2048}},
      {"deepseek2.expert_shared_count", uint32_t{1}},
      {"deepseek2.expert_weights_scale", 2.5f},
      {"deepseek2.expert_weights_norm", true},
      {"deepseek2.rope.dimension_count", uint32_t{64}},
      {"deepseek2.rope.scaling.yarn_log_multiplier", 0.1f},
  };
  const Json generation = {{"do_sample", true}, {"temperature", 0.6}, {"top_p", 0.95}};
  const GgufMetadata found = MetadataOf(ReleasedConfig("DeepSeek-V3"), false, generation);
  ASSERT_EQ(found.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(found[i].first, want[i].first);
    EXPECT_EQ(found[i].second, want[i].second) << want[i].first;
  }
}

TEST(GgufMetadata, OfTypesIsWhatLlamaQuantizeAppends) {
  const GgufMetadata want = {{"general.quantization_version", uint32_t{2}},
                             {"general.file_type", uint32_t{15}}};
  EXPECT_EQ(TypeMetadata(*FindGgufMix("Q4_K_M"), nullptr), want);
}

TEST(GgufMetadata, OfTheLiteModelHasNoQueryRankAndV2sMultiplier) {
  const GgufMetadata metadata = MetadataOf(ReleasedConfig("DeepSeek-V2-Lite"));
  EXPECT_EQ(Find(metadata, "deepseek2.attention.q_lora_rank"), nullptr);
  EXPECT_EQ(Find(metadata, "deepseek2.expert_weights_norm"), nullptr);  // false is left out
  EXPECT_EQ(*Find(metadata, "deepseek2.expert_gating_func"), GgufValue(uint32_t{1}));
  EXPECT_EQ(*Find(metadata, "deepseek2.rope.scaling.yarn_log_multiplier"), GgufValue(0.0707f));
  EXPECT_EQ(*Find(metadata, "deepseek2.block_count"), GgufValue(uint32_t{27}));
}

TEST(GgufMetadata, AnMtpModuleRaisesTheBlockCountAndIsCounted) {
  const GgufMetadata metadata = MetadataOf(ReleasedConfig("DeepSeek-V3"), true);
  EXPECT_EQ(*Find(metadata, "deepseek2.block_count"), GgufValue(uint32_t{62}));
  EXPECT_EQ(*Find(metadata, "deepseek2.nextn_predict_layers"), GgufValue(uint32_t{1}));
}

TEST(GgufMetadata, RopeParametersOfNewerWritersSayTheSame) {
  Json newer = ReleasedConfig("DeepSeek-V3");
  newer["rope_parameters"] = newer["rope_scaling"];
  newer["rope_parameters"]["rope_type"] = newer["rope_parameters"]["type"];
  newer["rope_parameters"].erase("type");
  newer["rope_parameters"]["rope_theta"] = newer["rope_theta"];
  newer.erase("rope_scaling");
  newer.erase("rope_theta");
  EXPECT_EQ(MetadataOf(newer), MetadataOf(ReleasedConfig("DeepSeek-V3")));
}

TEST(GgufMetadata, WithoutScalingThereAreNoKeysOfIt) {
  Json config = ReleasedConfig("DeepSeek-V3");
  config["rope_scaling"] = nullptr;
  for (const auto& [key, value] : MetadataOf(config)) {
    EXPECT_EQ(key.find("scaling"), std::string::npos) << key;
  }
}

TEST(GgufMetadata, EveryReleasedModelIsExpressible) {
  std::ifstream file(TESSERA_TEST_DIR "/golden/gguf_configs.json");
  const Json all = Json::parse(file);
  EXPECT_GE(all.size(), 5u);
  for (const auto& [name, config] : all.items()) {
    const Result<GgufConfig> expressed = ConfigOf(config);
    EXPECT_TRUE(expressed) << name << ": " << expressed.error().Text();
  }
}

struct Inexpressible {
  const char* what;
  std::function<void(Json&)> change;
  const char* names;  // in the message
  bool mtp = false;
};

TEST(GgufMetadata, WhatTheFormatCannotExpressIsRefusedByName) {
  const Inexpressible kCases[] = {
      {"another mscale", [](Json& c) { c["rope_scaling"]["mscale"] = 0.707; }, "mscale"},
      {"mscale alone", [](Json& c) { c["rope_scaling"].erase("mscale_all_dim"); }, "mscale"},
      {"all_dim alone", [](Json& c) { c["rope_scaling"].erase("mscale"); }, "mscale"},
      {"linear scaling", [](Json& c) { c["rope_scaling"]["type"] = "linear"; }, "type"},
      {"untyped scaling", [](Json& c) { c["rope_scaling"].erase("type"); }, "type"},
      {"unknown scaling", [](Json& c) { c["rope_scaling"]["attention_factor"] = 1; },
       "attention_factor"},
      {"two scalings", [](Json& c) { c["rope_parameters"] = c["rope_scaling"]; }, "rope_scaling"},
      {"26 layers", [](Json& c) { c["num_hidden_layers"] = 26; }, "lite"},
      {"27 layers", [](Json& c) { c["num_hidden_layers"] = 27; }, "lite"},
      {"27 layers with the module", [](Json& c) { c["num_hidden_layers"] = 27; }, "lite", true},
      {"48 layers, 128256 ids",
       [](Json& c) { c["num_hidden_layers"] = 48, c["vocab_size"] = 128256; }, "lite"},
      {"no q_lora_rank", [](Json& c) { c["q_lora_rank"] = nullptr; }, "q_lora_rank"},
      {"513 layers", [](Json& c) { c["num_hidden_layers"] = 513; }, "512 layers"},
      {"512 layers and the module", [](Json& c) { c["num_hidden_layers"] = 512; }, "512 layers",
       true},
      {"1032 experts", [](Json& c) { c["n_routed_experts"] = 1032; }, "1024 experts"},
      {"dense layers between", [](Json& c) { c["moe_layer_freq"] = 2; }, "moe_layer_freq"},
      {"two modules", [](Json& c) { c["num_nextn_predict_layers"] = 2; }, "MTP", true},
      {"no shared experts", [](Json& c) { c["n_shared_experts"] = 0; }, "shared experts"},
      {"groups that do not divide", [](Json& c) { c["n_group"] = 7; }, "n_group"},
      {"groups of one", [](Json& c) { c["n_group"] = 256, c["topk_group"] = 8; }, "n_group"},
      {"all groups", [](Json& c) { c["topk_group"] = 8; }, "topk_group"},
      {"no group", [](Json& c) { c.erase("topk_group"); }, "topk_group"},
      {"another score", [](Json& c) { c["scoring_func"] = "sqrtsoftplus"; }, "scoring_func"},
      {"another activation", [](Json& c) { c["hidden_act"] = "gelu"; }, "hidden_act"},
      {"halves rotated", [](Json& c) { c["rope_interleave"] = false; }, "rope_interleave"},
      {"grouped heads", [](Json& c) { c["num_key_value_heads"] = 8; }, "num_key_value_heads"},
      {"no context", [](Json& c) { c.erase("max_position_embeddings"); },
       "max_position_embeddings"},
      {"no theta", [](Json& c) { c.erase("rope_theta"); }, "rope_theta"},
      {"no epsilon", [](Json& c) { c.erase("rms_norm_eps"); }, "rms_norm_eps"},
      {"an indexer",
       [](Json& c) {
         c["model_type"] = "deepseek_v32";
         c["index_head_dim"] = 128, c["index_n_heads"] = 64, c["index_topk"] = 2048;
       },
       "indexer"},
  };
  for (const Inexpressible& test : kCases) {
    Json config = ReleasedConfig("DeepSeek-V3");
    ASSERT_TRUE(ConfigOf(config, test.mtp));
    test.change(config);
    const Result<GgufConfig> expressed = ConfigOf(config, test.mtp);
    ASSERT_FALSE(expressed) << test.what;
    EXPECT_NE(expressed.error().Text().find(test.names), std::string::npos)
        << test.what << ": " << expressed.error().Text();
  }
}

// DeepSeek's code for V2 scales or normalises, llama.cpp does both.
TEST(GgufMetadata, V2sRouterIsRefusedWhereItWouldBeAnotherOne) {
  Json config = ReleasedConfig("DeepSeek-V2");
  config["norm_topk_prob"] = true;
  EXPECT_FALSE(ConfigOf(config));
  config["routed_scaling_factor"] = 1.0;
  EXPECT_TRUE(ConfigOf(config));
}

TEST(GgufMetadata, SamplingThatIsNoNumberIsRefused) {
  const Json config = ReleasedConfig("DeepSeek-V3");
  const ModelSpec spec = ModelSpec::FromConfig(config).value();
  const GgufConfig read = ConfigOf(config).value();
  for (const Json& generation :
       {Json{{"temperature", "0.6"}}, Json{{"top_p", true}}, Json{{"top_k", 1.5}},
        Json{{"top_k", int64_t{1} << 40}}, Json::array()}) {
    EXPECT_FALSE(ModelMetadata(
        {.spec = &spec, .config = &read, .name = "", .size_label = "", .mtp = false}, generation))
        << generation.dump();
  }
}

TEST(GgufMetadata, SizeLabelCountsOneExpertAndHasTwoDigits) {
  const auto label = [](uint64_t shared, uint64_t expert, uint64_t experts) {
    std::vector<TensorInfo> tensors = {
        TensorInfo::Make("token_embd.weight", Dtype::kF32, {shared}).value()};
    if (experts != 0) {
      tensors.push_back(
          TensorInfo::Make("blk.1.ffn_up_exps.weight", Dtype::kF32, {experts, expert}).value());
    }
    return SizeLabel(tensors);
  };
  EXPECT_EQ(label(20'000'000'000, 300'000'000, 256), "256x20B");
  EXPECT_EQ(label(2'310'000'000, 0, 0), "2.3B");
  EXPECT_EQ(label(999'000'000, 2'000'000, 64), "64x1.0B");
  EXPECT_EQ(label(16'000'000, 0, 0), "16M");
  EXPECT_EQ(label(900, 0, 0), "0.9K");
}

}  // namespace
}  // namespace tessera
