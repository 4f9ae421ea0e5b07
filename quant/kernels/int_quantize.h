// Integers under a scale, some values at a time. Sums are made in 16 lanes, value i in lane i % 16,
// and the lanes then added pairwise, those 8 apart first, then 4, 2 and 1: the same bits whatever
// the width of a vector. Pointers need not be aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace tessera::kernels {

inline constexpr size_t kSumLanes = 16;
// Scales below it have no finite inverse.
inline constexpr float kLeastNormal = std::numeric_limits<float>::min();

// A row whose groups are `group_cols` values each, the last one what is left.
struct IntRow {
  const float* x;
  size_t cols, group_cols;
};

struct IntExtremes {
  float min = 0, max = 0;       // garbage where not everything is finite
  uint32_t magnitude_bits = 0;  // the largest |x|, as bits: they order like the values, NaN last
};

// A scale that may be chosen. Bounds are those of code - zero.
struct IntCandidate {
  float scale, inverse, lowest, highest;
};

enum class IntArithmetic : uint8_t {
  kInverse,      // x * inverse, to the nearest integer
  kF32,          // x rounded to BF16, divided in F32, to the nearest integer
  kF32Truncate,  // the same, towards zero
  kBf16,         // x, quotient and quotient + zero each rounded to BF16
  kF16,          // x rounded to BF16 and then to F16, quotient to F16
};

struct IntCoding {
  float divisor;  // what x is divided by
  float inverse;  // one over the scale as it is stored
  int zero, lowest, highest;
  IntArithmetic arithmetic;
};

// Sums over values y = x * inverse and their codes c, zero subtracted.
struct IntSums {
  float error_squared = 0;     // (y - c)^2
  float error_times_code = 0;  // (y - c) * c
  float code_squared = 0;
  uint64_t saturated = 0;  // y beyond the outermost codes by more than half a step
};

// One for each group.
void FindExtremes(const IntRow& row, IntExtremes* extremes);

// errors[i]: the sum of (x * inverse - c)^2 under candidate i, in units of its scale squared, where
// c is the nearest integer within the bounds.
void SquaredErrors(const float* x, size_t n, const IntCandidate* candidates, size_t count,
                   float* errors);

// Codes, zero included, and sums by group. All groups are of one arithmetic; of values that are not
// finite neither codes nor sums mean anything. Inverses are finite.
void EncodeInts(const IntRow& row, const IntCoding* codings, int8_t* codes, IntSums* sums);

// (code - zero) * scale; a NaN is the one quiet NaN.
void IntsToF32(const int8_t* codes, size_t n, int zero, float scale, float* out);

}  // namespace tessera::kernels
