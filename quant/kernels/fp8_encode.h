// F32 rows to E4M3 codes under block scales.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

// Raises amax[i] to the largest |x| of the row's i-th block of `block_cols` columns, as bits: they
// order like the values, and anything above 0x7F7FFFFF says that one was not finite.
void RaiseAbsMax(const float* row, size_t cols, uint32_t block_cols, uint32_t* amax);

// Codes x / scale, one scale a block, nearest even, saturating (reference::EncodeE4m3). Returns how
// many inputs are NaN or infinite.
size_t F32ToE4m3(const float* row, size_t cols, const float* scales, uint32_t block_cols,
                 uint8_t* out);

}  // namespace tessera::kernels
