#include "quant/int_scheme.h"

#include <algorithm>
#include <cmath>

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

bool IntScheme::ExpectedErrorRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                                  uint64_t cols, RowRange range, float* out) const {
  const IntBuffer buffer(format(), range.size(), cols);
  ValueStats stats;
  ReadCodes(parts, rows, cols, range, buffer.rows(), stats);
  const IntRows& read = buffer.rows();
  const uint64_t group = format().GroupCols(cols);
  const float* scale = read.scales.data();
  for (uint64_t row = 0; row < read.rows; ++row) {
    for (uint64_t col = 0; col < cols; col += group, ++scale) {
      const uint64_t width = std::min(group, cols - col);
      std::fill_n(out + row * cols + col, width, std::fabs(*scale) / std::sqrt(12.0f));
    }
  }
  return true;
}

}  // namespace tessera
