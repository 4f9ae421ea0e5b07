// MXFP4: 32 values of E2M1 under a power of two.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/ggml_blocks.h"
#include "quant/ggml_math.h"

namespace tessera {

// floor(log2f(x)) for x > 0 as glibc's log2f has it: it rounds up to a whole number for the last
// few floats below a power of two.
int FloorLog2(float x);

void QuantizeMxfp4(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void Dequantize(const BlockMxfp4& block, float* out);

}  // namespace tessera
