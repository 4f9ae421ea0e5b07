// Block FP8, rows at a time. Pointers need not be aligned, scales excepted.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

enum class Fp8Code : uint8_t { kE4m3, kE5m2 };

// Rows that share one row of scales, that is, at most block_rows of them: one scale for every
// `block_cols` columns. Rows follow one another without padding.
struct Fp8Rows {
  const uint8_t* codes;
  size_t rows, cols;
  const float* scales;
  uint32_t block_cols;
  Fp8Code format = Fp8Code::kE4m3;
};

// Code times scale in F32, rounded once more to the output's type. Return how many codes are NaN.
size_t Fp8ToBf16(const Fp8Rows& in, uint16_t* out);
size_t Fp8ToF32(const Fp8Rows& in, float* out);
// Adds to `overflows` the finite products beyond F16's range.
size_t Fp8ToF16(const Fp8Rows& in, bool saturate, uint16_t* out, size_t& overflows);

}  // namespace tessera::kernels
