// Whole rows by quant/reference alone: what a scheme's kernels are checked against at run time.
#pragma once

#include <cstddef>
#include <span>

#include "quant/storage.h"

namespace tessera {

// As Scheme::DecodeRows. kUnsupported for a scheme that has no scalar statement here.
Result<void> DecodeRowsByReference(const StoredWeight& weight,
                                   std::span<const std::span<const std::byte>> parts,
                                   RowRange range, float* out, ValueStats& stats);

}  // namespace tessera
