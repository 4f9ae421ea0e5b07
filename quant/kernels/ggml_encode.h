// The rest of ggml's quantizers' arithmetic: everything that treats values one by one, in any
// order. Pointers need not be aligned. Codes are as in ggml_search.h.
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

// sums[i] of x^2 over block i, from left to right; blocks of any length.
void SumSquares(const float* x, size_t length, size_t count, float* sums);

// weights[i] = importance[i] * sqrt(variance + x[i]^2)
void WeighImportance(const float* x, const float* importance, size_t n, float variance,
                     float* weights);

// To F16 and, as they are then, back.
void RoundScales(float* scales, size_t n, uint16_t* f16);

// Whole Q8_0 blocks: 32 values to 34 bytes each.
void QuantizeQ8_0(const float* x, size_t blocks, std::byte* out);

}  // namespace tessera::kernels
