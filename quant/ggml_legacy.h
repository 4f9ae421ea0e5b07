// Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0: 32 values under one scale, some with a minimum.
#pragma once

#include <cstddef>

#include "quant/ggml_blocks.h"
#include "quant/ggml_math.h"

namespace tessera {

void QuantizeQ4_0(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeQ4_1(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeQ5_0(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeQ5_1(const GgmlRow& row, const GgmlMath& math, std::byte* out);

void Dequantize(const BlockQ4_0& block, float* out);
void Dequantize(const BlockQ4_1& block, float* out);
void Dequantize(const BlockQ5_0& block, float* out);
void Dequantize(const BlockQ5_1& block, float* out);
void Dequantize(const BlockQ8_0& block, float* out);

}  // namespace tessera
