#include "quant/quantization_config.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

// The golden configs have passed compressed-tensors' own validation: see make_engine_golden.py.
TEST(QuantizationConfig, OfCompressedTensorsIsWhatItsOwnReaderAccepted) {
  const auto golden = ReadJsonFile(TESSERA_TEST_DIR "/golden/engines/configs.json");
  ASSERT_TRUE(golden) << golden.error().Text();
  for (const Json& json : golden->at("cases")) {
    const auto scheme = json.at("scheme").get<std::string>();
    const auto config = QuantizationConfig(
        {.scheme = scheme,
         .group = json.at("group").get<uint64_t>(),
         .unquantized = json.at("config").at("ignore").get<std::vector<std::string>>()});
    ASSERT_TRUE(config) << scheme;
    // Compared as sets of keys: their order is ours.
    EXPECT_EQ(nlohmann::json(*config), nlohmann::json(json.at("config"))) << scheme;
  }
}

TEST(QuantizationConfig, OfTheOtherMethodsHasTheKeysThatTheirLoadersAskFor) {
  const auto dump = [](QuantizationRequest request) {
    const Result<Json> config = QuantizationConfig(request);
    return config ? config->dump() : config.error().Text();
  };
  EXPECT_EQ(dump({.scheme = "fp8-block-ue8m0"}),
            R"({"activation_scheme":"dynamic","fmt":"e4m3","quant_method":"fp8",)"
            R"("scale_fmt":"ue8m0","weight_block_size":[128,128]})");
  EXPECT_EQ(dump({.scheme = "int8-block", .unquantized = {"a.b"}}),
            R"({"activation_scheme":"dynamic","ignored_layers":["a.b"],)"
            R"("quant_method":"blockwise_int8","weight_block_size":[128,128]})");
  EXPECT_EQ(dump({.scheme = "int8-channel", .unquantized = {"lm_head"}}),
            R"({"ignore":["lm_head"],"quant_method":"w8a8_int8"})");
  EXPECT_EQ(dump({.scheme = "w4afp8"}), R"({"quant_method":"w4afp8"})");
  EXPECT_EQ(dump({.scheme = "awq"}),
            R"({"bits":4,"group_size":128,"modules_to_not_convert":null,"quant_method":"awq",)"
            R"("version":"gemm","zero_point":true})");
  EXPECT_EQ(dump({.scheme = "gptq8", .group = 0, .unquantized = {"-:.*a"}}),
            R"({"bits":8,"checkpoint_format":"gptq","desc_act":false,"dynamic":{"-:.*a":{}},)"
            R"("group_size":-1,"lm_head":false,"pack_dtype":"int32","quant_method":"gptq",)"
            R"("sym":true})");
  EXPECT_EQ(dump({.scheme = "trtllm-w4a8"}), "null");
  EXPECT_EQ(dump({.scheme = "ascend-w8a8-dynamic"}), "null");
  EXPECT_EQ(
      QuantizationConfig({.scheme = "w4a16", .group = 32, .group_on_top = true})->at("group_size"),
      32);
  EXPECT_EQ(QuantizationConfig({.scheme = "w3a16"}).error().code(), ErrorCode::kUnsupported);
}

ModelSpec TinySpec() {
  const Json config = *ParseJson(
      R"({"model_type": "deepseek_v3", "hidden_size": 256, "num_hidden_layers": 2,
          "num_nextn_predict_layers": 1, "first_k_dense_replace": 1, "moe_layer_freq": 1,
          "intermediate_size": 512, "moe_intermediate_size": 256, "n_routed_experts": 2,
          "n_shared_experts": 1, "num_experts_per_tok": 1, "num_attention_heads": 4,
          "q_lora_rank": 128, "kv_lora_rank": 128, "qk_nope_head_dim": 128,
          "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 256,
          "topk_method": "noaux_tc"})");
  return *ModelSpec::FromConfig(config);
}

TEST(QuantizationConfig, TensorRtLlmHasALineForEveryModuleOfEveryLayer) {
  const auto files = TensorRtLlmFiles(TinySpec(), false);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(ParseJson(files[0].text)->dump(),
            R"({"quantization":{"quant_algo":"MIXED_PRECISION","kv_cache_quant_algo":null}})");
  const Json layers = ParseJson(files[1].text)->at("quantized_layers");
  EXPECT_EQ(layers.size(), 6u + 7u + 7u);
  const auto algorithm = [&](const char* module) { return layers.at(module).at("quant_algo"); };
  EXPECT_EQ(algorithm("model.layers.0.mlp.gate_up_proj"), "FP8_BLOCK_SCALES");
  EXPECT_EQ(algorithm("model.layers.1.mlp.experts"), "W4A8_AWQ");
  EXPECT_EQ(algorithm("model.layers.1.self_attn.fused_a"), "FP8_BLOCK_SCALES");
  EXPECT_EQ(algorithm("model.layers.2.mlp.experts"), "FP8_BLOCK_SCALES");
}

TEST(QuantizationConfig, AscendNamesEveryTensorAndKeysFollow) {
  const DescribedTensor tensors[] = {{"a.weight", true}, {"model.embed_tokens.weight", false}};
  const QuantizationFile file = AscendDescription(tensors);
  EXPECT_EQ(file.name, "quant_model_description.json");
  EXPECT_EQ(ParseJson(file.text)->dump(),
            R"({"model_quant_type":"W8A8_DYNAMIC","version":"1.0.0","group_size":0,)"
            R"("a.weight":"W8A8_DYNAMIC","model.embed_tokens.weight":"FLOAT"})");
  EXPECT_EQ(QuantizationKeys("ascend-w8a8-dynamic", true).size(), 2u);
  EXPECT_TRUE(QuantizationKeys("w4a16", true).empty());
}

}  // namespace
}  // namespace tessera
