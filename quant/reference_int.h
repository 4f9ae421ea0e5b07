// The scalar twins of quant/kernels/int_quantize.h, and the specification of how they round.
#pragma once

#include "quant/kernels/int_quantize.h"

namespace tessera::reference {

kernels::IntExtremes FindExtremes(const float* x, size_t n);
void SquaredErrors(const float* x, size_t n, const kernels::IntCandidate* candidates, size_t count,
                   float* errors);
// Where inverse is not finite (the scale is subnormal), y = x / divisor.
kernels::IntSums EncodeInts(const float* x, size_t n, const kernels::IntCoding& coding,
                            int8_t* codes);
void IntsToF32(const int8_t* codes, size_t n, int zero, float scale, float* out);

}  // namespace tessera::reference
