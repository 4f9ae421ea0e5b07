#include "quant/scheme_awq.h"

#include "quant/part_spans.h"
#include "quant/scheme_transposed.h"

namespace tessera {
namespace {

class AwqScheme final : public TransposedScheme {
 public:
  explicit AwqScheme(const AwqArgs& args)
      : TransposedScheme({.bits = 4,
                          .symmetric = false,
                          .group = args.group,
                          .scale = Dtype::kF16,
                          .bf16_scales = true,
                          .rule = AbsMaxRule::kAutoAwq},
                         args.search) {}

  std::string_view name() const override { return "awq"; }

  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override {
    const uint64_t groups = format().Groups(cols);
    return {{".qweight", Dtype::kI32, {cols, Words(rows)}},
            {".qzeros", Dtype::kI32, {groups, Words(rows)}},
            {".scales", Dtype::kF16, {groups, rows}}};
  }

  void ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                 RowRange range, const IntRows& out, ValueStats&) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    ReadNibbles(parts[0], rows, cols, range, kernels::kAwqOrder, out.codes);
    ReadNibbles(parts[1], rows, out.groups, range, kernels::kAwqOrder, out.zeros);
    ReadScales(parts[2], rows, range, out);
  }

  void WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts) const override {
    TESSERA_CHECK(Accepts(rows, cols) && range.begin % 8 == 0 && range.end % 8 == 0);
    CheckPartSpans(*this, parts, rows, cols, range);
    const uint64_t stride = rows / 8 * 4, first = range.begin / 8 * 4;
    kernels::PackColumns(in.codes.data(), in.rows, cols, kernels::kAwqOrder, flip(),
                         parts[0].data() + first, stride);
    kernels::PackColumns(in.zeros.data(), in.rows, in.groups, kernels::kAwqOrder, flip(),
                         parts[1].data() + first, stride);
    WriteScales(in, rows, range, parts[2]);
  }
};

}  // namespace

std::unique_ptr<IntScheme> MakeAwqScheme(const AwqArgs& args) {
  return std::make_unique<AwqScheme>(args);
}

}  // namespace tessera
