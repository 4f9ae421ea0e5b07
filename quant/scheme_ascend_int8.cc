#include "quant/scheme_ascend_int8.h"

#include <algorithm>
#include <cstring>

#include "quant/part_spans.h"

namespace tessera {
namespace {

class AscendInt8Scheme final : public IntScheme {
 public:
  explicit AscendInt8Scheme(Search search)
      : IntScheme(search),
        format_{.bits = 8, .group = 0, .scale = Dtype::kF32, .rule = AbsMaxRule::kInt8Row} {}

  std::string_view name() const override { return "ascend-w8a8-dynamic"; }
  const IntFormat& format() const override { return format_; }
  uint64_t row_quantum() const override { return 1; }

  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override {
    return {{".weight", Dtype::kI8, {rows, cols}},
            {".weight_scale", Dtype::kF32, {rows, 1}},
            {".weight_offset", Dtype::kF32, {rows, 1}}};
  }

  ByteRange PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const override {
    TESSERA_CHECK(part < 3);
    const uint64_t line = part == 0 ? cols : sizeof(float);
    return {range.begin * line, range.end * line};
  }

  void ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                 RowRange range, const IntRows& out, ValueStats& stats) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    std::ranges::copy(parts[0], std::as_writable_bytes(out.codes).begin());
    std::ranges::copy(parts[1], std::as_writable_bytes(out.scales).begin());
    std::ranges::fill(out.zeros, int8_t{0});
    for (uint64_t row = 0; row < out.rows; ++row) {
      float offset;
      std::memcpy(&offset, parts[2].data() + row * sizeof(offset), sizeof(offset));
      if (offset != 0) ++stats.wrong_constants;
    }
  }

  void WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    std::ranges::copy(std::as_bytes(in.codes), parts[0].begin());
    std::ranges::copy(std::as_bytes(in.scales), parts[1].begin());
    std::ranges::fill(parts[2], std::byte{0});
  }

 private:
  IntFormat format_;
};

}  // namespace

std::unique_ptr<IntScheme> MakeAscendInt8Scheme(Search search) {
  return std::make_unique<AscendInt8Scheme>(search);
}

}  // namespace tessera
