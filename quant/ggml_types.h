// Which of GGUF's block types are quantized here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "formats/dtype.h"

namespace tessera {

struct GgmlTypeInfo {
  Dtype type;
  bool weighted;  // whether an importance matrix changes the bytes
};

// All of them, by ggml's id.
std::span<const GgmlTypeInfo> AllGgmlTypes();
bool IsGgmlType(Dtype type);

// In any case of letters, as command lines are written; nullopt for what is not quantized here.
std::optional<Dtype> ParseGgmlType(std::string_view name);

// `cols` is a multiple of the block.
size_t GgmlRowBytes(Dtype type, size_t cols);

}  // namespace tessera
