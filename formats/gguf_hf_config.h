// The config.json of the model that a GGUF file holds, put together from its metadata.
#pragma once

#include <cstdint>
#include <string_view>

#include "formats/dtype.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/result.h"

namespace tessera {

// The one architecture of llama.cpp whose tensors can be read as weights; see formats/gguf_names.h.
inline constexpr std::string_view kGgufArchitecture = "deepseek2";

// kUnsupported for metadata of another architecture, or of what is no model.
Result<void> CheckGgufArchitecture(const GgufMetadata& metadata);

// What the metadata may leave to the tensors.
struct GgufContents {
  uint64_t vocabulary = 0;  // rows of the embedding
  Dtype embedding = Dtype::kBF16;
};

// kBadMetadata for a key that is missing or of the wrong type, kUnsupported for a value that no
// config.json of these models could say. What llama.cpp takes where a key is missing becomes a
// field; numbers become the shortest decimals that are the same F32.
Result<Json> HfConfigOfGguf(const GgufMetadata& metadata, const GgufContents& contents);

// The decimal that a writer had before it became an F32: the shortest that is the same one.
double ShortestDecimal(float value);

}  // namespace tessera
