// The scalar twins of quant/kernels/int_quantize.h, and the specification of how they round.
#pragma once

#include "quant/kernels/int_quantize.h"

namespace tessera::reference {

void FindExtremes(const kernels::IntRow& row, kernels::IntExtremes* extremes);
void SquaredErrors(const float* x, size_t n, const kernels::IntCandidate* candidates, size_t count,
                   float* errors);
// Where inverse is not finite (the scale is subnormal), y = x / divisor.
void EncodeInts(const kernels::IntRow& row, const kernels::IntCoding* codings, int8_t* codes,
                kernels::IntSums* sums);
void IntsToF32(const int8_t* codes, size_t n, int zero, float scale, float* out);

}  // namespace tessera::reference
