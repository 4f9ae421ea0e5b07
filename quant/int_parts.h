// What the schemes of integers have in common besides codes.
#pragma once

#include <cstddef>
#include <span>

#include "quant/scheme.h"

namespace tessera {

// All of a constant part where the range begins at row 0, else the empty range at its end.
ByteRange ConstantBytes(uint64_t size, RowRange range);

// Scales stored as BF16, F16 or F32, whose values they are already.
void ReadScales(Dtype dtype, std::span<const std::byte> in, std::span<float> out);
void WriteScales(Dtype dtype, std::span<const float> in, std::span<std::byte> out);

}  // namespace tessera
