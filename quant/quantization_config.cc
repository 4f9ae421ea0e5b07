#include "quant/quantization_config.h"

#include <algorithm>

namespace tessera {
namespace {

constexpr std::string_view kCompressedTensors = "compressed-tensors";

// A scheme under compressed-tensors.
struct CompressedRow {
  std::string_view scheme, format;
  int bits;
  std::string_view type;
  bool symmetric;
  bool groups;          // or a scale a row, whatever the request says
  bool dynamic_inputs;  // activations quantized token by token
};
constexpr CompressedRow kCompressed[] = {
    {"w4a16", "pack-quantized", 4, "int", true, true, false},
    {"w4a16-asym", "pack-quantized", 4, "int", false, true, false},
    {"w8a16", "pack-quantized", 8, "int", true, true, false},
    {"w8a8", "int-quantized", 8, "int", true, false, true},
    {"fp8-channel", "float-quantized", 8, "float", true, false, true},
};

Json WeightArgs(const CompressedRow& row, uint64_t group) {
  const bool channel = !row.groups || group == 0;
  return {{"num_bits", row.bits},
          {"type", row.type},
          {"symmetric", row.symmetric},
          // Written out: loaders compare with -1, and null is not equal to it.
          {"group_size", channel ? -1 : static_cast<int64_t>(group)},
          {"strategy", channel ? "channel" : "group"},
          {"block_structure", nullptr},
          {"dynamic", false},
          {"actorder", nullptr},
          {"observer", "minmax"},
          {"observer_kwargs", Json::object()}};
}

Json InputArgs(const CompressedRow& row) {
  if (!row.dynamic_inputs) return nullptr;
  return {{"num_bits", row.bits}, {"type", row.type},
          {"symmetric", true},    {"group_size", nullptr},
          {"strategy", "token"},  {"block_structure", nullptr},
          {"dynamic", true},      {"actorder", nullptr},
          {"observer", nullptr},  {"observer_kwargs", Json::object()}};
}

Json CompressedConfig(const CompressedRow& row, const QuantizationRequest& request) {
  Json config = {
      {"config_groups",
       {{"group_0",
         {{"targets", Json::array({"Linear"})},
          {"weights", WeightArgs(row, request.group)},
          {"input_activations", InputArgs(row)},
          {"output_activations", nullptr}}}}},
      {"format", row.format},
      {"global_compression_ratio", nullptr},
      {"ignore", request.unquantized},
      {"kv_cache_scheme", nullptr},
      {"quant_method", kCompressedTensors},
      {"quantization_status", "compressed"},
  };
  if (request.group_on_top) config["group_size"] = request.group;
  return config;
}

Json BlockConfig(std::string_view method, const QuantizationRequest& request) {
  Json config;
  config["activation_scheme"] = "dynamic";
  if (method == "fp8") config["fmt"] = "e4m3";
  if (!request.unquantized.empty()) {
    config[method == "fp8" ? "modules_to_not_convert" : "ignored_layers"] = request.unquantized;
  }
  config["quant_method"] = method;
  if (request.scheme == "fp8-block-ue8m0") config["scale_fmt"] = "ue8m0";
  config["weight_block_size"] = {128, 128};
  return config;
}

Json AwqConfig(const QuantizationRequest& request) {
  Json config = {{"bits", 4},
                 {"group_size", request.group},
                 {"modules_to_not_convert", nullptr},
                 {"quant_method", "awq"},
                 {"version", "gemm"},
                 {"zero_point", true}};
  if (!request.unquantized.empty()) config["modules_to_not_convert"] = request.unquantized;
  return config;
}

Json GptqConfig(const QuantizationRequest& request) {
  Json dynamic = Json::object();
  for (const std::string& pattern : request.unquantized) dynamic[pattern] = Json::object();
  return {{"bits", request.scheme == "gptq8" ? 8 : 4},
          {"checkpoint_format", "gptq"},
          {"desc_act", false},
          {"dynamic", std::move(dynamic)},
          {"group_size", request.group == 0 ? -1 : static_cast<int64_t>(request.group)},
          {"lm_head", false},
          {"pack_dtype", "int32"},
          {"quant_method", "gptq"},
          {"sym", true}};
}

void AddLayer(const ModelSpec& spec, uint32_t layer, bool int4_experts, Json& layers) {
  const auto add = [&](const std::string& module, const char* algorithm) {
    layers["model.layers." + std::to_string(layer) + "." + module] = {{"quant_algo", algorithm}};
  };
  constexpr const char* kFp8 = "FP8_BLOCK_SCALES";
  for (const char* module : {"fused_a", "q_b_proj", "kv_b_proj", "o_proj"}) {
    add(std::string("self_attn.") + module, kFp8);
  }
  const std::string mlp = spec.IsMoeLayer(layer) ? "mlp.shared_experts." : "mlp.";
  for (const char* module : {"gate_up_proj", "down_proj"}) add(mlp + module, kFp8);
  if (spec.IsMoeLayer(layer)) add("mlp.experts", int4_experts ? "W4A8_AWQ" : kFp8);
}

}  // namespace

Result<Json> QuantizationConfig(const QuantizationRequest& request) {
  const std::string_view scheme = request.scheme;
  const auto row = std::ranges::find(kCompressed, scheme, &CompressedRow::scheme);
  if (row != std::end(kCompressed)) return CompressedConfig(*row, request);
  if (scheme == "fp8-block" || scheme == "fp8-block-ue8m0") return BlockConfig("fp8", request);
  if (scheme == "int8-block") return BlockConfig("blockwise_int8", request);
  if (scheme == "int8-channel") {
    return Json{{"ignore", request.unquantized}, {"quant_method", "w8a8_int8"}};
  }
  if (scheme == "w4afp8") return Json{{"quant_method", "w4afp8"}};
  if (scheme == "awq") return AwqConfig(request);
  if (scheme == "gptq4" || scheme == "gptq8") return GptqConfig(request);
  if (scheme == "ascend-w8a8-dynamic" || scheme == "trtllm-w4a8" || scheme == "bf16") {
    return Json(nullptr);
  }
  return Fail(Error(ErrorCode::kUnsupported, "no quantization_config is known for this scheme")
                  .Found(std::string(scheme)));
}

std::vector<std::pair<std::string, Json>> QuantizationKeys(std::string_view scheme,
                                                           bool mtp_quantized) {
  if (scheme != "ascend-w8a8-dynamic") return {};
  // Not mla_quantize, which msModelSlim sets to the static w8a8: absent, attention follows.
  std::vector<std::pair<std::string, Json>> keys = {{"quantize", "w8a8_dynamic"}};
  if (mtp_quantized) keys.emplace_back("mtp_quantize", "w8a8_dynamic");
  return keys;
}

std::vector<QuantizationFile> TensorRtLlmFiles(const ModelSpec& spec, bool mtp_quantized) {
  constexpr const char* kMixed = "MIXED_PRECISION";
  const Json modelopt = {
      {"quantization", {{"quant_algo", kMixed}, {"kv_cache_quant_algo", nullptr}}}};
  Json layers = Json::object();
  for (uint32_t layer = 0; layer < spec.total_layers(); ++layer) {
    AddLayer(spec, layer, layer < spec.num_hidden_layers || mtp_quantized, layers);
  }
  const Json table = {{"quant_algo", kMixed},
                      {"kv_cache_quant_algo", nullptr},
                      {"quantized_layers", std::move(layers)}};
  return {{"hf_quant_config.json", RenderJson(modelopt)}, {"quant_cfg.json", RenderJson(table)}};
}

QuantizationFile AscendDescription(std::span<const DescribedTensor> tensors) {
  // As text: a JSON tree looks for a key among all others before it adds one.
  std::string text =
      "{\n  \"model_quant_type\": \"W8A8_DYNAMIC\",\n  \"version\": \"1.0.0\",\n"
      "  \"group_size\": 0";
  for (const DescribedTensor& tensor : tensors) {
    text += ",\n  " + QuoteJson(tensor.name) + ": ";
    text += tensor.quantized ? "\"W8A8_DYNAMIC\"" : "\"FLOAT\"";
  }
  return {"quant_model_description.json", text + "\n}\n"};
}

}  // namespace tessera
