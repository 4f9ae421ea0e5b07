// The scalar twins of quant/kernels/ggml_search.h and ggml_encode.h: ggml's order of operations,
// one block at a time.
#pragma once

#include <bit>
#include <cstdint>

#include "quant/kernels/ggml_encode.h"
#include "quant/kernels/ggml_search.h"

namespace tessera::reference {

// Nearest even by adding 1.5 * 2^23, for |x| below 2^22. ggml does it so, and so does what comes of
// larger numbers.
inline int NearestInt(float x) {
  const auto bits = std::bit_cast<uint32_t>(x + 0x1.8p23f);
  return static_cast<int>(bits & 0x7FFFFF) - 0x400000;
}

// The value of the largest magnitude, the first of those if several; 0 for none.
float SignedMax(const float* x, size_t n);

void SearchAffine(const kernels::BlockSpan& blocks, const kernels::AffineTrials& trials,
                  float* scales, float* mins, uint8_t* codes);
void SearchSymmetric(const kernels::BlockSpan& blocks, int half, float* scales, uint8_t* codes);
void DescendSymmetric(const float* x, size_t count, float* scales, uint8_t* codes);
void SearchIq4(const kernels::BlockSpan& blocks, float* scales);
void EncodeLinear(const kernels::BlockSpan& blocks, const kernels::LinearCoding& coding,
                  uint8_t* codes);
void EncodeIq4(const kernels::BlockSpan& blocks, const float* inverses, uint8_t* codes);
void EncodeTruncated(const kernels::BlockSpan& blocks, const kernels::TruncatedCoding& coding,
                     uint8_t* codes);
void EncodeE2m1(const kernels::BlockSpan& blocks, const float* units, uint8_t* codes);
void FindSignedMax(const kernels::BlockSpan& blocks, float* max);
void FindRange(const kernels::BlockSpan& blocks, float* min, float* max);
void SumSquares(const float* x, size_t length, size_t count, float* sums);
void WeighImportance(const float* x, const float* importance, size_t n, float variance,
                     float* weights);
void RoundScales(float* scales, size_t n, uint16_t* f16);
void QuantizeQ8_0(const float* x, size_t blocks, std::byte* out);

}  // namespace tessera::reference
