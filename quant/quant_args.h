// How a checkpoint's weights are stored, as its configuration says it, understood once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/result.h"

namespace tessera {

// Who said it, and in which words.
enum class QuantMethod : uint8_t {
  kNone,
  kFp8Block,           // quant_method "fp8": DeepSeek's own
  kCompressedTensors,  // "compressed-tensors"
  kAwq,                // "awq"
  kGptq,               // "gptq"
  kInt8Block,          // "blockwise_int8"
  kInt8Channel,        // "w8a8_int8"
  kInt4Fp8,            // "w4afp8", or MIXED_PRECISION in hf_quant_config.json
  kAscend,             // quant_model_description.json
};
// As quant_method spells it: "fp8", "compressed-tensors", ...; "none", "ascend" where it does not.
std::string_view Name(QuantMethod method);

// Which tensors a weight is stored as (docs/formats.md).
enum class WeightLayout : uint8_t {
  kFp8Block,     // weight, weight_scale_inv
  kFp8BlockCt,   // weight, weight_scale: the same numbers under compressed-tensors' name
  kFp8Channel,   // weight, weight_scale
  kInt8Block,    // weight, weight_scale_inv
  kInt8Channel,  // weight, weight_scale
  kInt8Offset,   // weight, weight_scale, weight_offset
  kInt4Bytes,    // weight (two in a byte), weight_scale_inv, input_scale
  kPacked,       // weight_packed, weight_scale, weight_shape, weight_zero_point
  kAwq,          // qweight, qzeros, scales
  kGptq,         // qweight, qzeros, scales, g_idx
};
std::string_view Name(WeightLayout layout);  // "fp8-block", "pack-quantized", ...

// One way to store weights that the configuration allows. Block layouts take their blocks from
// QuantArgs.
struct QuantGroup {
  WeightLayout layout{};
  uint32_t bits = 8;
  bool symmetric = true;
  uint32_t group_size = 0;                // columns that share a scale; 0: a whole row
  bool zeros_as_stored = false;           // GPTQ: checkpoint_format gptq_v2, else they are one less
  std::vector<std::string> targets = {};  // modules, as the engine matches them; empty: not said

  friend bool operator==(const QuantGroup&, const QuantGroup&) = default;
};

// What the configuration says about all weights. Which of them are quantized, the tensors say: the
// lists of modules here are for engines, whose rules of matching differ.
struct QuantArgs {
  QuantMethod method = QuantMethod::kNone;
  uint32_t block_rows = 128, block_cols = 128;  // weight_block_size, block_structure
  bool ue8m0 = false;                           // scale_fmt: "ue8m0"
  // modules_to_not_convert, ignored_layers, ignore; the "-:" rules of GPTQ's `dynamic`.
  std::vector<std::string> not_converted;
  // compressed-tensors, AWQ, GPTQ, in the configuration's order. The other methods leave no choice.
  std::vector<QuantGroup> groups;

  // kNone when config.json has no quantization_config (or null). A method, field or value that we
  // cannot decode is kUnsupported, naming the field and what is supported.
  static Result<QuantArgs> FromConfig(const Json& config);
  // Likewise, with what lies beside config.json where that says nothing: hf_quant_config.json,
  // quant_model_description.json.
  static Result<QuantArgs> Of(const Checkpoint& checkpoint, const Json& config);

  // The object to write: quant_method fp8, fmt e4m3, activation_scheme dynamic, weight_block_size,
  // and scale_fmt where ue8m0, keys in the order in which DeepSeek writes them. kFp8Block only.
  Json ToConfig() const;

  // Every way in which a weight may be stored.
  std::vector<QuantGroup> Layouts() const;
};

// Whether a file beside config.json says how weights are quantized, and nothing else.
bool DescribesQuantization(std::string_view side_file);

}  // namespace tessera
