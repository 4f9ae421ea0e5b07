// Rows of plain floats into one another: nearest even, every NaN that is rounded becomes the one
// quiet NaN, widening is exact and keeps NaN bits. Pointers need not be aligned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

void Bf16ToF32(const uint16_t* in, size_t n, float* out);
void F16ToF32(const uint16_t* in, size_t n, float* out);
void F32ToBf16(const float* in, size_t n, uint16_t* out);
void F16ToBf16(const uint16_t* in, size_t n, uint16_t* out);

// Return how many finite values lie beyond F16's range; they become infinite or, with `saturate`,
// +-65504.
size_t F32ToF16(const float* in, size_t n, bool saturate, uint16_t* out);
size_t Bf16ToF16(const uint16_t* in, size_t n, bool saturate, uint16_t* out);

}  // namespace tessera::kernels
