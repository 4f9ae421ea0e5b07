#include "quant/scheme_transposed.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "quant/kernels/round.h"

namespace tessera {

TransposedScheme::TransposedScheme(const IntFormat& format, Search search)
    : IntScheme(search), format_(format), per_word_(32 / static_cast<uint64_t>(format.bits)) {
  TESSERA_CHECK(format.bits == 4 || format.bits == 8);
  TESSERA_CHECK(format.scale == Dtype::kF16 && format.group_rows == 1);
}

Result<void> TransposedScheme::Accepts(uint64_t rows, uint64_t cols) const {
  const uint64_t group = format_.GroupCols(cols);
  if (rows % per_word_ == 0 && cols % per_word_ == 0 && cols > 0 && cols % group == 0) return {};
  return Fail(Error(ErrorCode::kUnsupported,
                    "a weight of this shape cannot be stored as " + std::string(name()))
                  .Expected("rows and columns in multiples of " + std::to_string(per_word_) +
                            ", columns in groups of " + std::to_string(group))
                  .Found(ToString({rows, cols})));
}

ByteRange TransposedScheme::PartBytes(size_t part, uint64_t rows, uint64_t cols,
                                      RowRange range) const {
  const PartSpec spec = Parts(rows, cols).at(part);
  uint64_t bytes = BitsOf(spec.dtype) / 8;
  for (const uint64_t dim : spec.shape) bytes *= dim;
  return {spec.constant && range.begin > 0 ? bytes : 0, bytes};
}

void TransposedScheme::ReadNibbles(std::span<const std::byte> part, uint64_t rows, uint64_t cols,
                                   RowRange range, const kernels::NibbleOrder& order,
                                   std::span<int8_t> out) {
  constexpr uint8_t kFlip = 8;
  const uint64_t stride = (rows + 7) / 8 * 4;
  const RowRange words{range.begin / 8, (range.end + 7) / 8};
  const std::byte* in = part.data() + words.begin * 4;
  if (words.begin * 8 == range.begin && words.end * 8 == range.end) {
    kernels::UnpackColumns(in, stride, range.size(), cols, order, kFlip, out.data());
    return;
  }
  std::vector<int8_t> whole(words.size() * 8 * cols);
  kernels::UnpackColumns(in, stride, words.size() * 8, cols, order, kFlip, whole.data());
  const auto first = static_cast<ptrdiff_t>((range.begin - words.begin * 8) * cols);
  std::copy_n(whole.begin() + first, range.size() * cols, out.begin());
}

void TransposedScheme::ReadScales(std::span<const std::byte> part, uint64_t rows, RowRange range,
                                  const IntRows& out) {
  std::vector<uint16_t> line(range.size());
  std::vector<float> scales(range.size());
  for (uint64_t group = 0; group < out.groups; ++group) {
    const std::byte* in = part.data() + (group * rows + range.begin) * sizeof(uint16_t);
    std::memcpy(line.data(), in, line.size() * sizeof(uint16_t));
    kernels::F16ToF32(line.data(), line.size(), scales.data());
    for (uint64_t row = 0; row < out.rows; ++row) {
      out.scales[row * out.groups + group] = scales[row];
    }
  }
}

void TransposedScheme::WriteScales(const IntRows& in, uint64_t rows, RowRange range,
                                   std::span<std::byte> part) {
  std::vector<float> scales(range.size());
  std::vector<uint16_t> line(range.size());
  for (uint64_t group = 0; group < in.groups; ++group) {
    for (uint64_t row = 0; row < in.rows; ++row) {
      scales[row] = in.scales[row * in.groups + group];
    }
    kernels::F32ToF16(scales.data(), scales.size(), false, line.data());
    std::byte* out = part.data() + (group * rows + range.begin) * sizeof(uint16_t);
    std::memcpy(out, line.data(), line.size() * sizeof(uint16_t));
  }
}

}  // namespace tessera
