// Element types of tensors on disk: one closed enum and one table row per type. Those of
// safetensors come first; after them GGUF's block types, whose values share scales and have no size
// of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tessera {

// The first are declared in the order of safetensors' own enum: its writer lays tensors out by this
// rank, descending, then by name, so the order reaches file bytes. Block types by ggml's id.
enum class Dtype : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,  // "fn": no infinity, NaN is S.1111.111
  kF8E8M0,  // a power of two, 2^(code-127); 255 is NaN
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ8_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kQ8_K,
  kIq2Xxs,
  kIq2Xs,
  kIq3Xxs,
  kIq1S,
  kIq4Nl,
  kIq3S,
  kIq2S,
  kIq4Xs,
  kIq1M,
  kTq1_0,
  kTq2_0,
  kMxfp4,
  kNvfp4,
  kQ1_0,
  kQ2_0,
};

struct DtypeInfo {
  Dtype dtype;
  std::string_view name;  // as safetensors spells it, or ggml
  uint16_t block;         // values that share a block: a row is a whole number of blocks; 1 without
  uint16_t block_bits;    // of a block, or of an element; below 8 elements share bytes
  std::optional<uint8_t> ggml;  // the id in a GGUF file; none if ggml does not know the type

  constexpr bool is_block() const { return block != 1; }
  constexpr uint64_t block_bytes() const { return block_bits / 8; }
};

const DtypeInfo& Info(Dtype dtype);
inline std::string_view Name(Dtype dtype) { return Info(dtype).name; }
// Per element; not for block types, whose elements have no size.
uint64_t BitsOf(Dtype dtype);

// Any name in the table, case-sensitive; nullopt for all else.
std::optional<Dtype> ParseDtype(std::string_view name);
// The same for what a safetensors header may say: no block type.
std::optional<Dtype> ParseSafetensorsDtype(std::string_view name);
std::optional<Dtype> DtypeOfGgml(uint64_t id);

// All rows, in enum order.
std::span<const DtypeInfo> AllDtypes();

// F32, F16 or BF16: a number stored as itself, which casts without a scale.
constexpr bool IsPlainFloat(Dtype d) {
  return d == Dtype::kF32 || d == Dtype::kF16 || d == Dtype::kBF16;
}

}  // namespace tessera
