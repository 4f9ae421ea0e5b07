// config.json's quantization_config, understood once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"
#include "formats/result.h"

namespace tessera {

enum class QuantMethod : uint8_t { kNone, kFp8Block };

struct QuantArgs {
  QuantMethod method = QuantMethod::kNone;
  uint32_t block_rows = 128, block_cols = 128;  // weight_block_size
  bool ue8m0 = false;                           // scale_fmt: "ue8m0"
  std::vector<std::string> not_converted;       // modules_to_not_convert / ignored_layers

  // kNone when config.json has no quantization_config (or null). A method, fmt or activation scheme
  // that we cannot decode is kUnsupported, naming the field and what is supported.
  static Result<QuantArgs> FromConfig(const Json& config);
  // The object to write: quant_method fp8, fmt e4m3, activation_scheme dynamic, weight_block_size,
  // and scale_fmt where ue8m0, keys in the order in which DeepSeek writes them.
  Json ToConfig() const;
};

}  // namespace tessera
