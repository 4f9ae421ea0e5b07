// The block types of GGUF that are quantized here: one closed enum and one table row per type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tessera {

enum class GgmlType : uint8_t {
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIq4Nl,
  kIq4Xs,
  kMxfp4,
};

struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;  // as ggml spells it
  uint32_t id;            // in a GGUF tensor info
  uint16_t block;         // values that share a block; a row is a whole number of blocks
  uint16_t bytes;         // of a block
  bool weighted;          // whether an importance matrix changes the bytes
};

const GgmlTypeInfo& Info(GgmlType type);

// In any case of letters, as command lines are written; nullopt for anything not in the table.
std::optional<GgmlType> ParseGgmlType(std::string_view name);

// All rows, in enum order, which is that of the ids.
std::span<const GgmlTypeInfo> AllGgmlTypes();

// `cols` is a multiple of the block.
size_t GgmlRowBytes(GgmlType type, size_t cols);

}  // namespace tessera
