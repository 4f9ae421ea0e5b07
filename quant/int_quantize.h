// Rows of F32 to integers under scales and back.
#pragma once

#include "quant/int_scheme.h"

namespace tessera {

// out.rows rows; the first one is row `first_row` of its weight, which the quality sums name, and
// begins a group. A group that holds NaN or infinity gets codes 0 and is counted in
// stats.not_finite.
void QuantizeRows(const IntFormat& format, Search search, const float* in, uint64_t first_row,
                  const IntRows& out, ValueStats& stats);

void DequantizeRows(const IntFormat& format, const IntRows& in, float* out);

}  // namespace tessera
