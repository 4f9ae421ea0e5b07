// Rows of F32 to integers under scales and back.
#pragma once

#include "quant/int_scheme.h"
#include "quant/int_search.h"

namespace tessera {

// out.rows rows; the first one is row `first_row` of its weight, which the quality sums name, and
// begins a group. A group that holds NaN or infinity, or what the type of its reference cannot
// hold, gets codes 0; such values are counted in stats.not_finite.
void QuantizeRows(const IntFormat& format, Search search, const float* in, uint64_t first_row,
                  const IntRows& out, ValueStats& stats, const IntMath& math = kKernelMath);

void DequantizeRows(const IntFormat& format, const IntRows& in, float* out);

}  // namespace tessera
