// What to write into config.json, and beside it, so that engines know how weights are quantized.
// Pure functions of names: nothing is read and nothing is written here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/result.h"

namespace tessera {

struct QuantizationRequest {
  std::string_view scheme;  // as `tessera schemes` lists it
  uint64_t group = 128;     // columns a scale; 0: a whole row
  // Modules left unquantized, as the scheme's config spells them. Of GPTQ: keys of "dynamic".
  std::vector<std::string> unquantized = {};
  // vllm-ascend takes the group of INT4 experts from the top of the object.
  bool group_on_top = false;
};

// The quantization_config, keys in the order of the tool that this format comes from. Null for
// schemes whose config.json has none (ascend-w8a8-dynamic, trtllm-w4a8, bf16). kUnsupported for a
// scheme that is not known.
Result<Json> QuantizationConfig(const QuantizationRequest& request);

// Keys that the scheme puts into config.json beside quantization_config: msModelSlim's `quantize`.
std::vector<std::pair<std::string, Json>> QuantizationKeys(std::string_view scheme,
                                                           bool mtp_quantized);

struct QuantizationFile {
  std::string name, text;
};

// TensorRT-LLM: hf_quant_config.json and quant_cfg.json of INT4 experts beside block FP8.
// `mtp_quantized`: the MTP module's experts are INT4 too.
std::vector<QuantizationFile> TensorRtLlmFiles(const ModelSpec& spec, bool mtp_quantized);

// Ascend: quant_model_description.json, which must name every tensor of the output. O(n).
struct DescribedTensor {
  std::string_view name;
  bool quantized;  // W8A8_DYNAMIC, else FLOAT
};
QuantizationFile AscendDescription(std::span<const DescribedTensor> tensors);

}  // namespace tessera
