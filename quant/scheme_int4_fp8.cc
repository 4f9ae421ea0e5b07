#include "quant/scheme_int4_fp8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/kernels/pack.h"
#include "quant/part_spans.h"
#include "quant/reference.h"

namespace tessera {
namespace {

class Int4Fp8Scheme final : public IntScheme {
 public:
  explicit Int4Fp8Scheme(const Int4Fp8Args& args);

  std::string_view name() const override { return "int4-fp8"; }
  const IntFormat& format() const override { return format_; }
  Result<void> Accepts(uint64_t rows, uint64_t cols) const override;
  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override;
  uint64_t row_quantum() const override { return 1; }
  ByteRange PartBytes(size_t part, uint64_t rows, uint64_t cols, RowRange range) const override;
  void ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                 RowRange range, const IntRows& out, ValueStats& stats) const override;
  void WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts) const override;

 private:
  static constexpr uint8_t kTwosComplement = 0;  // as a flip

  IntFormat format_;
  std::optional<float> input_scale_;
};

Int4Fp8Scheme::Int4Fp8Scheme(const Int4Fp8Args& args)
    : IntScheme(args.search),
      format_{.bits = 4,
              .group = 128,
              .scale = Dtype::kF32,
              .bf16_scales = true,
              .rule = AbsMaxRule::kInt4Fp8} {
  if (!args.input_scale) return;
  input_scale_ = reference::DecodeBf16(reference::RoundToBf16(*args.input_scale));
  TESSERA_CHECK(std::isfinite(*input_scale_) && *input_scale_ > 0);
}

Result<void> Int4Fp8Scheme::Accepts(uint64_t rows, uint64_t cols) const {
  if (cols > 0 && cols % format_.group == 0) return {};
  return Fail(
      Error(ErrorCode::kUnsupported, "a weight of this shape cannot be INT4 experts' beside FP8")
          .Expected("columns in groups of 128")
          .Found(ToString({rows, cols})));
}

std::vector<PartSpec> Int4Fp8Scheme::Parts(uint64_t rows, uint64_t cols) const {
  std::vector<PartSpec> parts = {{".weight", Dtype::kI8, {rows, (cols + 1) / 2}},
                                 {".weight_scale_inv", Dtype::kF32, {rows, format_.Groups(cols)}}};
  if (input_scale_) parts.push_back({".input_scale", Dtype::kF32, {1}, true});
  return parts;
}

ByteRange Int4Fp8Scheme::PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const {
  TESSERA_CHECK(part < (input_scale_ ? 3 : 2));
  if (part == 2) return {range.begin == 0 ? 0 : sizeof(float), sizeof(float)};
  const uint64_t line = part == 0 ? (cols + 1) / 2 : format_.Groups(cols) * sizeof(float);
  return {range.begin * line, range.end * line};
}

void Int4Fp8Scheme::ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                              uint64_t cols, RowRange range, const IntRows& out,
                              ValueStats& stats) const {
  CheckPartSpans(*this, parts, rows, cols, range);
  const uint64_t line = (cols + 1) / 2;
  for (uint64_t row = 0; row < out.rows; ++row) {
    kernels::UnpackNibbles(parts[0].data() + row * line, cols, kTwosComplement,
                           out.codes.data() + row * cols);
  }
  std::memcpy(out.scales.data(), parts[1].data(), parts[1].size());
  std::ranges::fill(out.zeros, int8_t{0});
  if (!input_scale_ || parts[2].empty()) return;
  float input_scale;
  std::memcpy(&input_scale, parts[2].data(), sizeof(input_scale));
  if (input_scale != *input_scale_) ++stats.wrong_constants;
}

void Int4Fp8Scheme::WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                               std::span<const std::span<std::byte>> parts) const {
  CheckPartSpans(*this, parts, rows, cols, range);
  const uint64_t line = (cols + 1) / 2;
  for (uint64_t row = 0; row < in.rows; ++row) {
    kernels::PackNibbles(in.codes.data() + row * cols, cols, kTwosComplement,
                         parts[0].data() + row * line);
  }
  std::memcpy(parts[1].data(), in.scales.data(), parts[1].size());
  if (input_scale_ && !parts[2].empty()) {
    std::memcpy(parts[2].data(), &*input_scale_, sizeof(float));
  }
}

}  // namespace

std::unique_ptr<IntScheme> MakeInt4Fp8Scheme(const Int4Fp8Args& args) {
  return std::make_unique<Int4Fp8Scheme>(args);
}

}  // namespace tessera
