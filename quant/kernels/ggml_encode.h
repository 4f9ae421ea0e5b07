// The rest of the arithmetic of ggml's quantizers, most of it value by value. Pointers need not be
// aligned. Codes are as in ggml_search.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/kernels/ggml_search.h"

namespace tessera::kernels {

// (x + shift) / divisor, to the nearest integer; the codes of blocks with divisor 0 stay as they
// are.
struct LinearCoding {
  const float* divisors;  // one a block
  const float* shifts;    // one a block, or nullptr
  int lowest, highest;
};
void EncodeLinear(const BlockSpan& blocks, const LinearCoding& coding, uint8_t* codes);

// x * inverse, to the nearest level, the upper one of two.
void EncodeIq4(const BlockSpan& blocks, const float* inverses, uint8_t* codes);

// (x - shift) * inverse + offset, cut to an integer, `top` at most; never negative.
struct TruncatedCoding {
  const float* shifts;    // one a block, or nullptr
  const float* inverses;  // one a block
  float offset;
  int top;
};
void EncodeTruncated(const BlockSpan& blocks, const TruncatedCoding& coding, uint8_t* codes);

// E2M1's magnitudes, doubled: whole numbers.
inline constexpr float kE2m1Doubled[8] = {0, 1, 2, 3, 4, 6, 8, 12};
// x / unit, to the nearest of those, the smaller one of two. Bit 3 is the sign; zeros are +0.
void EncodeE2m1(const BlockSpan& blocks, const float* units, uint8_t* codes);

// Of each block: the value of the largest magnitude, the first of those if several, +0 for zeros;
// the least and the greatest value, the first zero if that is zero.
void FindSignedMax(const BlockSpan& blocks, float* max);
void FindRange(const BlockSpan& blocks, float* min, float* max);

// sums[i] of x^2 over block i, from left to right; lengths are multiples of 4.
void SumSquares(const float* x, size_t length, size_t count, float* sums);

// weights[i] = importance[i] * sqrt(variance + x[i]^2)
void WeighImportance(const float* x, const float* importance, size_t n, float variance,
                     float* weights);

// To F16 and, as they are then, back.
void RoundScales(float* scales, size_t n, uint16_t* f16);

// Whole Q8_0 blocks: 32 values to 34 bytes each.
void QuantizeQ8_0(const float* x, size_t blocks, std::byte* out);

}  // namespace tessera::kernels
