// The scalar specification of every number format and rounding here. Slow and plain on purpose:
// kernels may be faster, never different, and verify can decode with this as an independent check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera::reference {

float DecodeE4m3(uint8_t code);  // OCP E4M3FN: bias 7, no infinity, 0x7F and 0xFF are NaN
float DecodeE5m2(uint8_t code);  // OCP E5M2: bias 15, infinities and NaNs as IEEE
float DecodeE8m0(uint8_t code);  // 2^(code - 127), 255 is NaN
float DecodeBf16(uint16_t bits);
float DecodeF16(uint16_t bits);

// Nearest, ties to even; every NaN becomes the one quiet NaN (0x7FC0, 0x7E00, 0x7F).
uint16_t RoundToBf16(float x);
uint16_t RoundToF16(float x);  // beyond the range: infinity
// Beyond the range: +-448, as a saturating cast gives it; infinity too.
uint8_t RoundToE4m3(float x);

// The product of a decoded code and its scale, rounded once to F32; a NaN is 0x7FC00000.
float Scaled(float value, float scale);

// One row of block FP8 to F32: Scaled of every code. `scales` holds one value for every
// `block_cols` columns. Returns how many codes are NaN.
size_t DequantE4m3Row(std::span<const uint8_t> codes, std::span<const float> scales,
                      uint32_t block_cols, float* out);

// DeepSeek's act_quant arithmetic over one block: amax clamped below by 1e-4, divided by 448 in
// F32; under ue8m0 rounded up to a power of two. An amax that is not finite gives infinity.
float BlockScale(float amax, bool ue8m0);

// The code of x under a scale: x / scale, divided in F32, to E4M3. A scale of zero, which a given
// scale tensor may hold, counts as one of the same sign, so that zeros stay zeros.
uint8_t EncodeE4m3(float x, float scale);

}  // namespace tessera::reference
