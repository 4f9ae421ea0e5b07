// The keys of a GGUF file, in the order in which llama.cpp's converter writes them and
// llama-quantize leaves them: of the model, of the tokenizer (formats/tokenizer_gguf.h), of types.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "convert/gguf_config.h"
#include "convert/gguf_mix.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/tensor.h"
#include "quant/imatrix.h"

namespace tessera {

struct GgufDescription {
  const ModelSpec* spec;
  const GgufConfig* config;
  std::string name;        // general.name; empty: none
  std::string size_label;  // "256x20B"
  bool mtp = false;        // the file has the MTP module
};
// `generation` is generation_config.json, null if there is none; kBadConfig for settings that are
// no numbers.
Result<GgufMetadata> ModelMetadata(const GgufDescription& description, const Json& generation);

// `importance`: the matrix that weights were quantized by, or null.
GgufMetadata TypeMetadata(const GgufMix& mix, const ImportanceMatrix* importance);

// The experts' number times the size of a model with one each: what such models are called by.
std::string SizeLabel(std::span<const TensorInfo> tensors);

}  // namespace tessera
