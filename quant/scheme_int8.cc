#include <algorithm>

#include "quant/int_parts.h"
#include "quant/scheme_int.h"

namespace tessera {
namespace {

// Codes as they are, and scales of rows or blocks.
class Int8Scheme final : public IntScheme {
 public:
  Int8Scheme(std::string_view name, std::string_view scale_suffix, const IntFormat& format,
             Search search)
      : IntScheme(search), name_(name), scale_suffix_(scale_suffix), format_(format) {
    TESSERA_CHECK(IsPlainFloat(format.scale) && format.group_rows > 0);
  }

  std::string_view name() const override { return name_; }
  const IntFormat& format() const override { return format_; }
  uint64_t row_quantum() const override { return format_.group_rows; }

  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override {
    return {{".weight", Dtype::kI8, {rows, cols}},
            {std::string(scale_suffix_), format_.scale, {ScaleRows(rows), format_.Groups(cols)}}};
  }

  ByteRange PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const override {
    TESSERA_CHECK(part < 2);
    if (part == 0) return {range.begin * cols, range.end * cols};
    const uint64_t row_bytes = format_.Groups(cols) * (BitsOf(format_.scale) / 8);
    return {range.begin / format_.group_rows * row_bytes, ScaleRows(range.end) * row_bytes};
  }

  void ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                 RowRange range, const IntRows& out, ValueStats&) const override {
    CheckParts(parts, rows, cols, range);
    std::ranges::copy(Signed(parts[0]), out.codes.begin());
    std::ranges::fill(out.zeros, int8_t{0});
    const uint64_t first = range.begin / format_.group_rows;
    std::vector<float> scales((ScaleRows(range.end) - first) * out.groups);
    ReadScales(format_.scale, parts[1], scales);
    for (uint64_t i = 0; i < out.rows; ++i) {
      const uint64_t from = ((range.begin + i) / format_.group_rows - first) * out.groups;
      std::copy_n(&scales[from], out.groups, &out.scales[i * out.groups]);
    }
  }

  void WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts) const override {
    CheckParts(parts, rows, cols, range);
    TESSERA_CHECK(range.begin % format_.group_rows == 0);
    std::ranges::copy(std::as_bytes(in.codes), parts[0].begin());
    const uint64_t row_bytes = in.groups * (BitsOf(format_.scale) / 8);
    for (uint64_t row = 0, at = 0; row < in.rows; row += format_.group_rows, at += row_bytes) {
      WriteScales(format_.scale, in.scales.subspan(row * in.groups, in.groups),
                  parts[1].subspan(at, row_bytes));
    }
  }

 private:
  static std::span<const int8_t> Signed(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const int8_t*>(bytes.data()), bytes.size()};
  }
  uint64_t ScaleRows(uint64_t rows) const {
    return (rows + format_.group_rows - 1) / format_.group_rows;
  }
  void CheckParts(auto parts, uint64_t rows, uint64_t cols, RowRange range) const {
    TESSERA_CHECK(parts.size() == 2);
    TESSERA_CHECK(parts[0].size() == PartBytes(0, rows, cols, range).size());
    TESSERA_CHECK(parts[1].size() == PartBytes(1, rows, cols, range).size());
  }

  std::string_view name_, scale_suffix_;
  IntFormat format_;
};

}  // namespace

std::unique_ptr<IntScheme> MakeCtInt8Scheme(Search search, Dtype scale) {
  const IntFormat format{
      .bits = 8, .group = 0, .scale = scale, .rule = AbsMaxRule::kCompressedTensors};
  return std::make_unique<Int8Scheme>("w8a8", ".weight_scale", format, search);
}

std::unique_ptr<IntScheme> MakeInt8ChannelScheme(Search search) {
  const IntFormat format{.bits = 8, .group = 0, .scale = Dtype::kF32, .rule = AbsMaxRule::kInt8Row};
  return std::make_unique<Int8Scheme>("int8-channel", ".weight_scale", format, search);
}

std::unique_ptr<IntScheme> MakeInt8BlockScheme(Search search, uint32_t block_rows,
                                               uint32_t block_cols) {
  const IntFormat format{.bits = 8,
                         .group = block_cols,
                         .group_rows = block_rows,
                         .scale = Dtype::kF32,
                         .rule = AbsMaxRule::kInt8Block};
  return std::make_unique<Int8Scheme>("int8-block", ".weight_scale_inv", format, search);
}

}  // namespace tessera
