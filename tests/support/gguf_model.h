// A tiny model as a GGUF file of llama.cpp's deepseek2, whole or in pieces.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/tensor.h"

namespace tessera {

// Three layers, the first dense; 12 experts; heads of 32 + 8 and 16.
GgufMetadata TinyGgufMetadata();

struct GgufTensor {
  TensorInfo info;
  std::string bytes;
};
// All of the model's, by name: F32, routed experts in Q8_0, of random bytes.
std::vector<GgufTensor> TinyGgufTensors();

void WriteGguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               std::span<const GgufTensor> tensors);

}  // namespace tessera
