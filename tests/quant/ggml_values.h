// Rows that break quantizers, made by arithmetic that other languages can repeat exactly:
// tests/golden/make_ggml_golden.py makes the same ones.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tessera {

inline constexpr std::array<std::string_view, 14> kGgmlKinds = {
    "bell", "bf16",  "heavy",        "positive",     "negative", "outlier",   "sparse",
    "ties", "equal", "nearly equal", "any exponent", "powers",   "subnormal", "mixed"};

// splitmix64's output function.
inline uint64_t Mix(uint64_t n) {
  n += 0x9E3779B97F4A7C15u;
  n = (n ^ n >> 30) * 0xBF58476D1CE4E5B9u;
  n = (n ^ n >> 27) * 0x94D049BB133111EBu;
  return n ^ n >> 31;
}

inline float Bell(uint64_t u) {
  const uint64_t sum = (u & 0xFFFF) + (u >> 16 & 0xFFFF) + (u >> 32 & 0xFFFF) + (u >> 48);
  return static_cast<float>(static_cast<int64_t>(sum) - 131070) * 0x1p-21f;
}

// Bit 23 of u is the sign, the lower ones the fraction.
inline float FloatOf(uint64_t u, uint64_t exponent, uint64_t fraction) {
  return std::bit_cast<float>(
      static_cast<uint32_t>((u >> 23 & 1) << 31 | exponent << 23 | (fraction & 0x7FFFFF)));
}

// The first of each block is a little below a power of two.
inline float BesidePower(uint64_t lead, uint64_t v, bool first) {
  const uint64_t bits = ((100 + (lead >> 32) % 40) << 23) - Mix(lead) % 48;
  const auto power = std::bit_cast<float>(static_cast<uint32_t>(bits));
  return first ? power : power * (static_cast<float>(v % 11) - 5) * 0.0625f;
}

// Value number i of a kind.
inline float GgmlValue(size_t kind, uint64_t i) {
  const auto word = [kind](uint64_t at) { return Mix((uint64_t{kind} << 32) + at); };
  const uint64_t u = word(i), v = Mix(u);
  switch (kind) {
    case 0:
      return Bell(u);
    case 1:
      return std::bit_cast<float>(std::bit_cast<uint32_t>(Bell(u)) & 0xFFFF0000u);
    case 2:
      return FloatOf(u, 97 + (u >> 32) % 34, u);
    case 3:
      return std::fabs(Bell(u));
    case 4:
      return -std::fabs(Bell(u)) - 0x1p-6f;
    case 5:
      return Bell(u) * (v % 64 == 0 ? 128.0f : 1.0f);
    case 6:
      return v % 8 == 0 ? Bell(u) : FloatOf(u, 0, 0);
    case 7:
      return (static_cast<float>(v % 33) - 16) * 0.125f;
    case 8:
      return Bell(word(i / 32));
    case 9:
      return std::bit_cast<float>(static_cast<uint32_t>(0xBF800000u + v % 4));
    case 10:
      return FloatOf(u, 27 + (u >> 32) % 115, u);
    case 11:
      return BesidePower(word(i / 32), v, i % 32 == 0);
    case 12:
      return FloatOf(u, 0, u);
    default:
      return GgmlValue(word(i / 32) % 12, i);
  }
}

// The importance of column i beside values of a kind.
inline float GgmlImportance(size_t kind, uint64_t i) {
  const uint64_t u = Mix((uint64_t{100 + kind} << 32) + i);
  const float uniform = static_cast<float>(u >> 40) * 0x1p-24f;
  switch (kind % 4) {
    case 0:
      return uniform;
    case 1:
      return u % 4 == 0 ? 0.0f : uniform;
    case 2:
      return std::fabs(FloatOf(u, 107 + (u >> 32) % 34, u));
    default:
      return Bell(u) * Bell(u);
  }
}

inline std::vector<float> GgmlValues(size_t kind, size_t n, uint64_t from = 0) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = GgmlValue(kind, from + i);
  return values;
}

inline std::vector<float> GgmlImportances(size_t kind, size_t n) {
  std::vector<float> weights(n);
  for (size_t i = 0; i < n; ++i) weights[i] = GgmlImportance(kind, i);
  return weights;
}

}  // namespace tessera
