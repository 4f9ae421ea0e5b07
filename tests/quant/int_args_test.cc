// What configurations say of integer formats, and of FP8 in compressed-tensors' words.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "quant/quant_args.h"
#include "tests/quant/stored_files.h"

namespace tessera {
namespace {

// Kimi-K2.5's, as released.
constexpr const char* kKimi = R"({"config_groups": {"group_0": {"input_activations": null,
  "output_activations": null, "targets": ["Linear"], "weights": {"actorder": null,
  "block_structure": null, "dynamic": false, "group_size": 32, "num_bits": 4,
  "observer": "minmax", "observer_kwargs": {}, "strategy": "group", "symmetric": true,
  "type": "int"}}}, "format": "pack-quantized", "ignore": ["lm_head", "re:.*self_attn.*"],
  "kv_cache_scheme": null, "quant_method": "compressed-tensors",
  "quantization_status": "compressed"})";
constexpr const char* kAwq = R"({"quant_method": "awq", "bits": 4, "group_size": 128,
  "version": "gemm", "zero_point": true, "modules_to_not_convert": ["mlp.gate."]})";
constexpr const char* kGptq = R"({"quant_method": "gptq", "bits": 4, "group_size": 128,
  "desc_act": false, "sym": true, "lm_head": false, "checkpoint_format": "gptq",
  "pack_dtype": "int32", "meta": {"quantizer": ["gptqmodel:2.0.0"]}})";
constexpr const char* kInt8Block = R"({"activation_scheme": "dynamic",
  "quant_method": "blockwise_int8", "weight_block_size": [128, 64]})";
constexpr const char* kInt8Channel = R"({"quant_method": "w8a8_int8", "ignore": ["lm_head"]})";
constexpr const char* kInt4Fp8 = R"({"quant_method": "w4afp8"})";

Result<QuantArgs> Of(const std::string& quantization) {
  return QuantArgs::FromConfig(*ParseJson("{\"quantization_config\": " + quantization + "}"));
}

// `config` with the value at a JSON pointer replaced.
Result<QuantArgs> With(const char* config, const char* pointer, const char* value) {
  Json json = *ParseJson(config);
  json[Json::json_pointer(pointer)] = *ParseJson(value);
  return Of(json.dump());
}

TEST(IntArgs, ReadsEachMethod) {
  const struct {
    const char* config;
    QuantMethod method;
    QuantGroup group;  // the first
    std::vector<std::string> not_converted;
  } cases[] = {
      {kKimi,
       QuantMethod::kCompressedTensors,
       {.layout = WeightLayout::kPacked, .bits = 4, .group_size = 32, .targets = {"Linear"}},
       {"lm_head", "re:.*self_attn.*"}},
      {kAwq,
       QuantMethod::kAwq,
       {.layout = WeightLayout::kAwq, .bits = 4, .symmetric = false, .group_size = 128},
       {"mlp.gate."}},
      {kGptq,
       QuantMethod::kGptq,
       {.layout = WeightLayout::kGptq, .bits = 4, .group_size = 128},
       {}},
      {kInt8Block, QuantMethod::kInt8Block, {.layout = WeightLayout::kInt8Block}, {}},
      {kInt8Channel,
       QuantMethod::kInt8Channel,
       {.layout = WeightLayout::kInt8Channel},
       {"lm_head"}},
      {kInt4Fp8,
       QuantMethod::kInt4Fp8,
       {.layout = WeightLayout::kInt4Bytes, .bits = 4, .group_size = 128},
       {}},
  };
  for (const auto& c : cases) {
    const auto args = Of(c.config);
    ASSERT_TRUE(args) << args.error().Text();
    EXPECT_EQ(args->method, c.method) << c.config;
    ASSERT_FALSE(args->Layouts().empty()) << c.config;
    EXPECT_EQ(args->Layouts()[0], c.group) << c.config;
    EXPECT_EQ(args->not_converted, c.not_converted) << c.config;
  }
  EXPECT_EQ(Of(kInt8Block)->block_cols, 64u);
}

TEST(IntArgs, OtherSpellingsMeanTheSame) {
  const auto layout = [](const Result<QuantArgs>& args) {
    EXPECT_TRUE(args) << args.error().Text();
    return args->groups.at(0);
  };
  EXPECT_EQ(layout(Of(R"({"quant_method": "awq", "w_bit": 4, "q_group_size": 128,
                          "zero_point": true, "version": "GEMM"})")),
            layout(Of(kAwq)));
  EXPECT_EQ(layout(With(kGptq, "/group_size", "-1")).group_size, 0u);
  EXPECT_TRUE(layout(With(kGptq, "/checkpoint_format", "\"gptq_v2\"")).zeros_as_stored);
  EXPECT_EQ(layout(With(kGptq, "/sym", "false")).symmetric, false);
  const char* weights = "/config_groups/group_0/weights";
  const auto with_weights = [&](const char* value) { return layout(With(kKimi, weights, value)); };
  EXPECT_EQ(with_weights(R"({"num_bits": 8, "group_size": -1})"),
            with_weights(R"({"num_bits": 8, "type": "int", "symmetric": true,
                             "strategy": "channel", "group_size": null})"));
  EXPECT_EQ(with_weights(R"({"num_bits": 4, "group_size": 64})").group_size, 64u);
}

TEST(IntArgs, ReadsSeveralGroupsAndTheRulesOfDynamic) {
  const auto mixed = Of(R"({"quant_method": "compressed-tensors", "format": "mixed-precision",
    "config_groups": {
      "a": {"format": "pack-quantized", "targets": ["re:.*experts.*"],
            "weights": {"num_bits": 4, "strategy": "group", "group_size": 128}},
      "b": {"format": "float-quantized", "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "block",
                        "block_structure": [128, 128]}},
      "c": {"targets": ["Attention"], "weights": null}}})");
  ASSERT_TRUE(mixed) << mixed.error().Text();
  ASSERT_EQ(mixed->groups.size(), 2u);
  EXPECT_EQ(mixed->groups[0].layout, WeightLayout::kPacked);
  EXPECT_EQ(mixed->groups[1].layout, WeightLayout::kFp8BlockCt);
  const auto dynamic = With(kGptq, "/dynamic", R"({"-:.*gate$": {}, "+:.*down.*": {"bits": 8}})");
  ASSERT_TRUE(dynamic) << dynamic.error().Text();
  ASSERT_EQ(dynamic->groups.size(), 2u);
  EXPECT_EQ(dynamic->groups[1].bits, 8u);
  EXPECT_EQ(dynamic->groups[1].group_size, 128u);
  EXPECT_EQ(dynamic->not_converted, std::vector<std::string>{"-:.*gate$"});
}

TEST(IntArgs, RefusesWhatCannotBeDecodedNamingTheField) {
  const struct {
    const char *config, *pointer, *value, *field;
  } cases[] = {
      {kKimi, "/format", "\"marlin-24\"", "quantization_config.format"},
      {kKimi, "/quantization_status", "\"frozen\"", "quantization_config.quantization_status"},
      {kKimi, "/sparsity_config", R"({"format": "sparse-bitmask"})", "sparsity_config"},
      {kKimi, "/transform_config", R"({"config_groups": {}})", "transform_config"},
      {kKimi, "/weird", "1", "quantization_config.weird"},
      {kKimi, "/config_groups/group_0/weird", "1", "config_groups.group_0.weird"},
      {kKimi, "/config_groups/group_0/weights/weird", "1", "group_0.weights.weird"},
      {kKimi, "/config_groups/group_0/weights/num_bits", "3", "weights.num_bits"},
      {kKimi, "/config_groups/group_0/weights/type", "\"float\"", "weights.type"},
      {kKimi, "/config_groups/group_0/weights/actorder", "\"group\"", "weights.actorder"},
      {kKimi, "/config_groups/group_0/weights/dynamic", "true", "weights.dynamic"},
      {kKimi, "/config_groups/group_0/weights/strategy", "\"tensor_group\"", "strategy"},
      {kAwq, "/bits", "8", "quantization_config.bits"},
      {kAwq, "/zero_point", "false", "quantization_config.zero_point"},
      {kAwq, "/version", "\"gemv\"", "quantization_config.version"},
      {kAwq, "/weird", "1", "quantization_config.weird"},
      {kGptq, "/bits", "3", "quantization_config.bits"},
      {kGptq, "/desc_act", "true", "quantization_config.desc_act"},
      {kGptq, "/checkpoint_format", "\"marlin\"", "quantization_config.checkpoint_format"},
      {kGptq, "/pack_dtype", "\"int16\"", "quantization_config.pack_dtype"},
      {kGptq, "/dynamic", R"({"+:x": {"bits": 2}})", "quantization_config.dynamic.+:x.bits"},
      {kInt8Block, "/activation_scheme", "\"static\"", "activation_scheme"},
      {kInt8Channel, "/weird", "1", "quantization_config.weird"},
      {kInt4Fp8, "/group_size", "64", "quantization_config.group_size"},
  };
  for (const auto& c : cases) {
    const auto args = With(c.config, c.pointer, c.value);
    ASSERT_FALSE(args) << c.pointer << " " << c.value;
    EXPECT_EQ(args.error().code(), ErrorCode::kUnsupported) << args.error().Text();
    EXPECT_NE(args.error().what().find(c.field), std::string::npos) << args.error().Text();
  }
}

TEST(IntArgs, RefusesMalformedFields) {
  const struct {
    const char *config, *pointer, *value;
  } cases[] = {
      {kKimi, "/config_groups", "[]"},
      {kKimi, "/config_groups", "{}"},
      {kKimi, "/config_groups", R"({"W4A16": ["Linear"]})"},
      {kKimi, "/config_groups/group_0/weights", "4"},
      {kKimi, "/config_groups/group_0/weights/group_size", "0"},
      {kKimi, "/config_groups/group_0/weights/group_size", "-1"},
      {kKimi, "/config_groups/group_0/weights/group_size", "1.5"},
      {kKimi, "/config_groups/group_0/weights/strategy", "\"channel\""},
      {kKimi, "/config_groups/group_0/weights/block_structure", "[128, 128]"},
      {kKimi, "/config_groups/group_0/weights/symmetric", "1"},
      {kKimi, "/ignore", "\"lm_head\""},
      {kKimi, "/format", "null"},
      {kAwq, "/bits", "null"},
      {kAwq, "/bits", "\"4\""},
      {kAwq, "/group_size", "0"},
      {kAwq, "/group_size", "-2"},
      {kAwq, "/group_size", "99999999999"},
      {kAwq, "/zero_point", "null"},
      {kGptq, "/sym", "null"},
      {kGptq, "/desc_act", "null"},
      {kGptq, "/dynamic", "[]"},
      {kInt8Block, "/weight_block_size", "null"},
  };
  for (const auto& c : cases) {
    const auto args = With(c.config, c.pointer, c.value);
    ASSERT_FALSE(args) << c.pointer << " " << c.value;
    EXPECT_EQ(args.error().code(), ErrorCode::kBadConfig) << args.error().Text();
    EXPECT_EQ(args.error().file(), "config.json");
  }
}

// What lies beside config.json.
Result<QuantArgs> Beside(const std::vector<std::pair<std::string, std::string>>& files,
                         const char* config = "{}") {
  const Files folder({{"a.weight", Dtype::kBF16, {1}}}, {{"b.weight", Dtype::kBF16, {1}}});
  for (const auto& [name, text] : files) folder.Write(name, text);
  const Checkpoint checkpoint = folder.Open();
  return QuantArgs::Of(checkpoint, *ParseJson(config));
}

TEST(IntArgs, ReadsTheFilesBesideConfigJson) {
  EXPECT_EQ(Beside({})->method, QuantMethod::kNone);
  const std::pair<std::string, std::string> mixed = {
      "hf_quant_config.json", R"({"quantization": {"quant_algo": "MIXED_PRECISION"}})"};
  EXPECT_EQ(Beside({mixed})->method, QuantMethod::kInt4Fp8);
  EXPECT_EQ(Beside({mixed, {"quant_cfg.json", R"({"quantized_layers": {
                       "a": {"quant_algo": "W4A8_AWQ"}, "b": {"quant_algo": "FP8_BLOCK_SCALES"}}})"}})
                ->method,
            QuantMethod::kInt4Fp8);
  for (const char* name :
       {"quant_model_description.json", "quant_model_description_w8a8_dynamic.json"}) {
    EXPECT_EQ(Beside({{name, R"({"model_quant_type": "W8A8_DYNAMIC", "a.weight": "FLOAT",
                                 "b.weight": "W8A8_DYNAMIC", "version": "1.0.0",
                                 "metadata": {"x.y": "z"}, "group_size": 0})"}})
                  ->method,
              QuantMethod::kAscend);
  }
  // config.json comes first.
  const std::string fp8 = R"({"quantization_config": {"quant_method": "fp8",
                              "weight_block_size": [128, 128]}})";
  EXPECT_EQ(
      Beside({{"hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8_BLOCK_SCALES"}})"}},
             fp8.c_str())
          ->method,
      QuantMethod::kFp8Block);
}

TEST(IntArgs, RefusesFilesThatSaySomethingElse) {
  const struct {
    const char *name, *text;
    ErrorCode code;
    const char* says;
  } cases[] = {
      {"hf_quant_config.json", R"({"quantization": {"quant_algo": "NVFP4"}})",
       ErrorCode::kUnsupported, "quantization.quant_algo"},
      {"hf_quant_config.json", "{}", ErrorCode::kBadConfig, "quantization is missing"},
      {"hf_quant_config.json", "[", ErrorCode::kJsonSyntax, ""},
      {"hf_quant_config.json", R"({"quantization": {"quant_algo": "MIXED_PRECISION",
          "quantized_layers": {"a": {"quant_algo": "NVFP4"}}}})",
       ErrorCode::kUnsupported, "quantized_layers.a.quant_algo"},
      {"quant_model_description.json", R"({"b.weight": "W4A8_DYNAMIC"})", ErrorCode::kUnsupported,
       "b.weight"},
      {"quant_model_description.json", "{", ErrorCode::kJsonSyntax, ""},
  };
  for (const auto& c : cases) {
    const auto args = Beside({{c.name, c.text}});
    ASSERT_FALSE(args) << c.text;
    EXPECT_EQ(args.error().code(), c.code) << args.error().Text();
    EXPECT_NE(args.error().what().find(c.says), std::string::npos) << args.error().Text();
    EXPECT_NE(args.error().file().find(c.name), std::string::npos) << args.error().Text();
  }
  EXPECT_EQ(Beside({{"quant_model_description.json", "{}"}},
                   R"({"quantization_config": {"quant_method": "w8a8_int8"}})")
                .error()
                .code(),
            ErrorCode::kBadConfig);
}

}  // namespace
}  // namespace tessera
