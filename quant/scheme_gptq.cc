#include "quant/scheme_gptq.h"

#include <algorithm>
#include <cstring>

#include "quant/part_spans.h"
#include "quant/scheme_transposed.h"

namespace tessera {
namespace {

class GptqScheme final : public TransposedScheme {
 public:
  explicit GptqScheme(const GptqArgs& args)
      : TransposedScheme({.bits = args.bits,
                          .symmetric = args.symmetric,
                          .group = args.group,
                          .scale = Dtype::kF16,
                          .bf16_scales = true,
                          .rule = AbsMaxRule::kGptq},
                         args.search),
        zeros_(args.zeros) {}

  std::string_view name() const override { return format().bits == 4 ? "gptq4" : "gptq8"; }
  Result<void> Accepts(uint64_t rows, uint64_t cols) const override;
  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override;
  void ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                 RowRange range, const IntRows& out, ValueStats& stats) const override;
  void WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts) const override;

 private:
  void ReadZeros(std::span<const std::byte> part, uint64_t rows, RowRange range,
                 const IntRows& out) const;
  std::vector<int32_t> GroupIndex(uint64_t cols) const;

  GptqZeros zeros_;
};

Result<void> GptqScheme::Accepts(uint64_t rows, uint64_t cols) const {
  if (!format().symmetric || zeros_ != GptqZeros::kMinusOne) {
    return Fail(Error(ErrorCode::kUnsupported, "this kind of GPTQ can be read but not written")
                    .Expected("symmetric, checkpoint_format \"gptq\"")
                    .Found(format().symmetric ? "checkpoint_format \"gptq_v2\"" : "asymmetric")
                    .Next("Engines load symmetric GPTQ only."));
  }
  return TransposedScheme::Accepts(rows, cols);
}

std::vector<PartSpec> GptqScheme::Parts(uint64_t rows, uint64_t cols) const {
  const uint64_t groups = format().Groups(cols);
  return {{".qweight", Dtype::kI32, {Words(cols), rows}},
          {".qzeros", Dtype::kI32, {groups, Words(rows)}},
          {".scales", Dtype::kF16, {groups, rows}},
          {".g_idx", Dtype::kI32, {cols}, true}};
}

std::vector<int32_t> GptqScheme::GroupIndex(uint64_t cols) const {
  std::vector<int32_t> index(cols);
  for (uint64_t k = 0; k < cols; ++k) {
    index[k] = static_cast<int32_t>(k / format().GroupCols(cols));
  }
  return index;
}

void GptqScheme::ReadZeros(std::span<const std::byte> part, uint64_t rows, RowRange range,
                           const IntRows& out) const {
  if (format().bits == 4) {
    ReadNibbles(part, rows, out.groups, range, kernels::kNaturalOrder, out.zeros);
  } else {
    const uint64_t line = Words(rows) * 4;
    for (uint64_t row = 0; row < out.rows; ++row) {
      for (uint64_t group = 0; group < out.groups; ++group) {
        const auto stored = std::to_integer<uint8_t>(part[group * line + range.begin + row]);
        out.zeros[row * out.groups + group] = static_cast<int8_t>(stored ^ flip());
      }
    }
  }
  if (zeros_ == GptqZeros::kPlain) return;
  // Zero points wrap: the unsigned 0 is stored as the largest code.
  for (int8_t& zero : out.zeros) {
    zero = static_cast<int8_t>(zero == format().highest() ? format().lowest() : zero + 1);
  }
}

void GptqScheme::ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                           uint64_t cols, RowRange range, const IntRows& out,
                           ValueStats& stats) const {
  CheckPartSpans(*this, parts, rows, cols, range);
  kernels::UnpackTransposed(parts[0].data() + range.begin * 4, rows * 4, out.rows, cols,
                            format().bits, flip(), out.codes.data());
  ReadZeros(parts[1], rows, range, out);
  if (format().symmetric) {
    const auto wrong = std::ranges::count_if(out.zeros, [](int8_t zero) { return zero != 0; });
    stats.wrong_constants += static_cast<uint64_t>(wrong);
    std::ranges::fill(out.zeros, int8_t{0});
  }
  ReadScales(parts[2], rows, range, out);
  if (parts[3].empty()) return;
  const std::vector<int32_t> index = GroupIndex(cols);
  if (!std::ranges::equal(parts[3], std::as_bytes(std::span(index)))) ++stats.wrong_constants;
}

void GptqScheme::WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                            std::span<const std::span<std::byte>> parts) const {
  TESSERA_CHECK(Accepts(rows, cols) && range.begin % row_quantum() == 0);
  CheckPartSpans(*this, parts, rows, cols, range);
  kernels::PackTransposed(in.codes.data(), in.rows, cols, format().bits, flip(),
                          parts[0].data() + range.begin * 4, rows * 4);
  // Every zero point is the middle of the range, less one.
  const int zeros = format().bits == 4 ? 0x77 : 0x7F;
  const uint64_t bytes = range.size() * static_cast<uint64_t>(format().bits) / 8;
  for (uint64_t group = 0; group < in.groups; ++group) {
    const uint64_t first = Words(rows) * 4 * group + Words(range.begin) * 4;
    std::memset(parts[1].data() + first, zeros, bytes);
  }
  WriteScales(in, rows, range, parts[2]);
  if (parts[3].empty()) return;
  const std::vector<int32_t> index = GroupIndex(cols);
  std::memcpy(parts[3].data(), index.data(), parts[3].size());
}

}  // namespace

std::unique_ptr<IntScheme> MakeGptqScheme(const GptqArgs& args) {
  return std::make_unique<GptqScheme>(args);
}

}  // namespace tessera
