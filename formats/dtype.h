// Element types of tensors on disk: one closed enum and one table row per type.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tessera {

// Declared in the order of safetensors' own enum: its writer lays tensors out by this rank,
// descending, then by name, so the order reaches file bytes.
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
};

struct DtypeInfo {
  Dtype dtype;
  std::string_view name;  // as safetensors spells it
  uint8_t bits;           // per element; below 8 elements share bytes
};

const DtypeInfo& Info(Dtype dtype);
inline std::string_view Name(Dtype dtype) { return Info(dtype).name; }
inline uint64_t BitsOf(Dtype dtype) { return Info(dtype).bits; }

// Case-sensitive, as the format demands; nullopt for anything not in the table.
std::optional<Dtype> ParseDtype(std::string_view safetensors_name);

// All rows, in enum order.
std::span<const DtypeInfo> AllDtypes();

// F32, F16 or BF16: a number stored as itself, which casts without a scale.
constexpr bool IsPlainFloat(Dtype d) {
  return d == Dtype::kF32 || d == Dtype::kF16 || d == Dtype::kBF16;
}

}  // namespace tessera
