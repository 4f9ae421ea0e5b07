// Q2_K to Q6_K: 256 values in sub-blocks of 16 or 32, whose scales are quantized themselves.
#pragma once

#include <cstddef>

#include "quant/ggml_blocks.h"
#include "quant/ggml_math.h"

namespace tessera {

void QuantizeQ2_K(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeQ3_K(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeQ4_K(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeQ5_K(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeQ6_K(const GgmlRow& row, const GgmlMath& math, std::byte* out);

void Dequantize(const BlockQ2_K& block, float* out);
void Dequantize(const BlockQ3_K& block, float* out);
void Dequantize(const BlockQ4_K& block, float* out);
void Dequantize(const BlockQ5_K& block, float* out);
void Dequantize(const BlockQ6_K& block, float* out);

}  // namespace tessera
