#include "quant/int_scheme.h"

#include "quant/int_rows.h"

namespace tessera {

IntBuffer::IntBuffer(const IntFormat& format, uint64_t rows, uint64_t cols)
    : codes_(rows * cols),
      zeros_(rows * format.Groups(cols)),
      scales_(zeros_.size()),
      rows_{rows, cols, format.Groups(cols), codes_, scales_, zeros_} {}

void IntScheme::DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                           uint64_t cols, RowRange range, float* out, ValueStats& stats) const {
  const IntBuffer buffer(format(), range.size(), cols);
  ReadCodes(parts, rows, cols, range, buffer.rows(), stats);
  DequantizeRows(format(), buffer.rows(), out);
}

void IntScheme::EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                           std::span<const std::span<std::byte>> parts, ValueStats& stats) const {
  TESSERA_CHECK(range.begin % format().group_rows == 0);
  const IntBuffer buffer(format(), range.size(), cols);
  QuantizeRows(format(), search_, in, range.begin, buffer.rows(), stats);
  WriteCodes(buffer.rows(), rows, cols, range, parts);
}

}  // namespace tessera
