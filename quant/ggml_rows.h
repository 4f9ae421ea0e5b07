// Rows of the block types of GGUF, byte for byte as ggml's own quantizers write them on x86-64.
#pragma once

#include <cstddef>

#include "quant/ggml_math.h"
#include "quant/ggml_types.h"

namespace tessera {

// Types are those of AllGgmlTypes, here and below. Values are finite, `cols` is a multiple of the
// type's block, `out` has GgmlRowBytes. `importance`, an importance matrix's row of one finite
// weight >= 0 a column, may be nullptr; types that are not weighted ignore it. Pointers need not be
// aligned.
//
// A scale beyond F16's range becomes infinite: GgmlScalesAreFinite tells.
void QuantizeGgmlRow(Dtype type, const float* row, size_t cols, const float* importance,
                     std::byte* out);

// The same with the given arithmetic; any gives the same bytes.
void QuantizeGgmlRow(Dtype type, const GgmlRow& row, const GgmlMath& math, std::byte* out);

// As ggml decodes it. Where a scale is not finite, so are the values, and which NaN differs.
void DequantizeGgmlRow(Dtype type, const std::byte* row, size_t cols, float* out);

bool GgmlScalesAreFinite(Dtype type, const std::byte* row, size_t cols);

// How far rounding is expected to have moved each value: quant/ggml_errors.h.
void ExpectGgmlErrors(Dtype type, const std::byte* row, size_t cols, float* out);

}  // namespace tessera
