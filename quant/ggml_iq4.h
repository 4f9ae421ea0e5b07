// IQ4_NL and IQ4_XS: codes of 4 bits that stand for unevenly spaced levels.
#pragma once

#include <cstddef>

#include "quant/ggml_blocks.h"
#include "quant/ggml_math.h"

namespace tessera {

void QuantizeIq4Nl(const GgmlRow& row, const GgmlMath& math, std::byte* out);
void QuantizeIq4Xs(const GgmlRow& row, const GgmlMath& math, std::byte* out);

void Dequantize(const BlockIq4Nl& block, float* out);
void Dequantize(const BlockIq4Xs& block, float* out);

}  // namespace tessera
