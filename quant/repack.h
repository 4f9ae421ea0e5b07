// Integers from one layout to another without rounding: codes, zero points and scales stay what
// they are.
#pragma once

#include "quant/int_scheme.h"

namespace tessera {

// Whether a weight of this shape means the same in `to`: bits, groups, and zero points only where
// `to` has them. kUnsupported says what differs. Scales are looked at while repacking.
Result<void> CanRepack(const IntScheme& from, const IntScheme& to, uint64_t rows, uint64_t cols);

// Rows [range), which begins at a multiple of both quanta; CanRepack holds. A scale that is not
// finite, or no number of to's type, is counted in stats.lossy_scales: the output is wrong then.
void Repack(const IntScheme& from, std::span<const std::span<const std::byte>> source,
            const IntScheme& to, std::span<const std::span<std::byte>> target, uint64_t rows,
            uint64_t cols, RowRange range, ValueStats& stats);

}  // namespace tessera
