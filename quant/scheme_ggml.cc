#include "quant/scheme_ggml.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "quant/ggml_rows.h"
#include "quant/ggml_types.h"
#include "quant/part_spans.h"
#include "quant/scheme_plain.h"

namespace tessera {
namespace {

uint64_t CountNotFinite(const float* row, uint64_t cols) {
  constexpr uint32_t kExponent = 0x7F800000;
  uint64_t count = 0;
  for (uint64_t i = 0; i < cols; ++i) {
    count += (std::bit_cast<uint32_t>(row[i]) & kExponent) == kExponent;
  }
  return count;
}

// Rows of one type, whatever tensor they belong to.
class GgmlRows {
 public:
  explicit GgmlRows(Dtype dtype) : dtype_(dtype) {
    TESSERA_CHECK(IsPlainFloat(dtype) || IsGgmlType(dtype));
  }

  Dtype dtype() const { return dtype_; }
  uint64_t Bytes(uint64_t cols) const {
    return IsPlainFloat(dtype_) ? cols * (BitsOf(dtype_) / 8) : GgmlRowBytes(dtype_, cols);
  }

  Result<void> Accepts(uint64_t cols) const {
    const uint64_t block = Info(dtype_).block;
    if (cols % block == 0) return {};
    return Fail(Error(ErrorCode::kUnsupported,
                      "rows that are no whole blocks of " + std::string(Name(dtype_)))
                    .Expected("a multiple of " + std::to_string(block) + " columns")
                    .Found(std::to_string(cols)));
  }

  void Encode(const float* row, uint64_t cols, const float* importance, std::byte* out,
              ValueStats& stats) const {
    if (const uint64_t bad = CountNotFinite(row, cols); bad != 0) {
      stats.not_finite += bad;
      std::memset(out, 0, Bytes(cols));  // the quantizers take finite values only
      return;
    }
    if (IsPlainFloat(dtype_)) {
      const auto& plain = static_cast<const PlainFloatScheme&>(PlainScheme(dtype_));
      PlainToPlain(Dtype::kF32, reinterpret_cast<const std::byte*>(row), cols, plain, out, stats);
      return;
    }
    QuantizeGgmlRow(dtype_, row, cols, importance, out);
    if (IsBeyondScales(row, cols) || !GgmlScalesAreFinite(dtype_, out, cols)) {
      ++stats.infinite_scales;
    }
  }

  void Decode(const std::byte* row, uint64_t cols, float* out) const {
    if (IsPlainFloat(dtype_)) return PlainToF32(dtype_, row, cols, out);
    DequantizeGgmlRow(dtype_, row, cols, out);
  }

  // Far beyond an F16 scale the sums of a search overflow, and what they leave may look finite.
  bool IsBeyondScales(const float* row, uint64_t cols) const {
    constexpr float kLargest = 65504.0f * 127 * 32;  // Q6_K's
    return dtype_ != Dtype::kMxfp4 &&
           std::any_of(row, row + cols, [](float x) { return std::abs(x) > kLargest; });
  }

  bool IsPredictable() const { return IsGgmlType(dtype_); }
  void ExpectErrors(const std::byte* row, uint64_t cols, float* out) const {
    ExpectGgmlErrors(dtype_, row, cols, out);
  }

 private:
  Dtype dtype_;
};

class GgmlMatrix final : public GgmlScheme {
 public:
  explicit GgmlMatrix(Dtype dtype) : rows_(dtype) {}

  std::string_view name() const override { return Name(rows_.dtype()); }
  Result<void> Accepts(uint64_t, uint64_t cols) const override { return rows_.Accepts(cols); }
  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override {
    return {{".weight", rows_.dtype(), {rows, cols}}};
  }
  uint64_t row_quantum() const override { return 1; }
  ByteRange PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const override {
    TESSERA_CHECK(part == 0);
    return {range.begin * rows_.Bytes(cols), range.end * rows_.Bytes(cols)};
  }

  void DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                  RowRange range, float* out, ValueStats&) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    const std::byte* in = parts[0].data();
    for (uint64_t i = 0; i < range.size(); ++i) {
      rows_.Decode(in + i * rows_.Bytes(cols), cols, out + i * cols);
    }
  }

  bool ExpectedErrorRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                         uint64_t cols, RowRange range, float* out) const override {
    if (!rows_.IsPredictable()) return false;
    CheckPartSpans(*this, parts, rows, cols, range);
    for (uint64_t i = 0; i < range.size(); ++i) {
      rows_.ExpectErrors(parts[0].data() + i * rows_.Bytes(cols), cols, out + i * cols);
    }
    return true;
  }

  void EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts, ValueStats& stats) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    TESSERA_CHECK(importance_.empty() || importance_.size() == cols);
    const float* weights = importance_.empty() ? nullptr : importance_.data();
    std::byte* out = parts[0].data();
    for (uint64_t i = 0; i < range.size(); ++i) {
      rows_.Encode(in + i * cols, cols, weights, out + i * rows_.Bytes(cols), stats);
    }
  }

  std::unique_ptr<Scheme> Weighed(
      std::span<const std::span<const float>> importance) const override {
    TESSERA_CHECK(importance.size() == 1);
    auto scheme = std::make_unique<GgmlMatrix>(*this);
    scheme->importance_ = importance[0];
    return scheme;
  }

 private:
  GgmlRows rows_;
  std::span<const float> importance_;
};

// Part 0 has kv_lora rows of `nope` columns a head, part 1 `v` rows of kv_lora columns.
class GgmlKvB final : public GgmlScheme {
 public:
  explicit GgmlKvB(const GgmlKvBArgs& args)
      : args_(args),
        k_(args.k_type),
        v_(args.v_type),
        name_("kv_b " + std::string(Name(args.k_type)) + " " + std::string(Name(args.v_type))) {}

  std::string_view name() const override { return name_; }
  Result<void> Accepts(uint64_t rows, uint64_t cols) const override {
    TESSERA_CHECK(rows == args_.heads * row_quantum());
    TESSERA_TRY(k_.Accepts(args_.nope));
    return v_.Accepts(cols);
  }
  std::vector<PartSpec> Parts(uint64_t, uint64_t cols) const override {
    return {{std::string(kKvBSuffixes[0]), k_.dtype(), {args_.heads, cols, args_.nope}},
            {std::string(kKvBSuffixes[1]), v_.dtype(), {args_.heads, args_.v, cols}}};
  }
  uint64_t row_quantum() const override { return args_.nope + args_.v; }
  // Of whole heads, whatever the rows.
  ByteRange PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const override {
    TESSERA_CHECK(part < 2);
    const uint64_t head = part == 0 ? cols * k_.Bytes(args_.nope) : args_.v * v_.Bytes(cols);
    if (range.size() == 0) return {FirstHead(range) * head, FirstHead(range) * head};
    return {FirstHead(range) * head, EndHead(range) * head};
  }

  void DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                  RowRange range, float* out, ValueStats&) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    ForEachRow(parts, cols, range, out, &GgmlRows::Decode);
  }

  bool ExpectedErrorRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                         uint64_t cols, RowRange range, float* out) const override {
    if (!k_.IsPredictable() || !v_.IsPredictable()) return false;
    CheckPartSpans(*this, parts, rows, cols, range);
    ForEachRow(parts, cols, range, out, &GgmlRows::ExpectErrors);
    return true;
  }

  void EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts, ValueStats& stats) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    TESSERA_CHECK(range.begin % row_quantum() == 0 && range.size() % row_quantum() == 0);
    std::byte *k = parts[0].data(), *v = parts[1].data();
    std::vector<float> column(args_.nope);
    for (uint64_t head = FirstHead(range); head < EndHead(range); ++head) {
      const float* k_weights = OfHead(k_importance_, head, args_.nope);
      for (uint64_t i = 0; i < cols; ++i, k += k_.Bytes(args_.nope)) {
        for (uint64_t j = 0; j < args_.nope; ++j) column[j] = in[j * cols + i];
        k_.Encode(column.data(), args_.nope, k_weights, k, stats);
      }
      in += args_.nope * cols;
      const float* v_weights = OfHead(v_importance_, head, cols);
      for (uint64_t j = 0; j < args_.v; ++j, in += cols, v += v_.Bytes(cols)) {
        v_.Encode(in, cols, v_weights, v, stats);
      }
    }
  }

  std::unique_ptr<Scheme> Weighed(
      std::span<const std::span<const float>> importance) const override {
    TESSERA_CHECK(importance.size() == 2);
    auto scheme = std::make_unique<GgmlKvB>(*this);
    scheme->k_importance_ = importance[0];
    scheme->v_importance_ = importance[1];
    return scheme;
  }

 private:
  using ReadRow = void (GgmlRows::*)(const std::byte* row, uint64_t cols, float* out) const;

  // The weight's rows, from what `read` makes of the rows of its parts.
  void ForEachRow(std::span<const std::span<const std::byte>> parts, uint64_t cols, RowRange range,
                  float* out, ReadRow read) const {
    if (range.size() == 0) return;
    const std::byte *k = parts[0].data(), *v = parts[1].data();
    std::vector<float> transposed(args_.nope * cols);
    for (uint64_t head = FirstHead(range); head < EndHead(range); ++head) {
      const uint64_t first = head * row_quantum();
      const RowRange wanted{std::max(range.begin, first),
                            std::min(range.end, first + row_quantum())};
      if (wanted.begin < first + args_.nope) {
        for (uint64_t i = 0; i < cols; ++i) {
          (k_.*read)(k + i * k_.Bytes(args_.nope), args_.nope, transposed.data() + i * args_.nope);
        }
      }
      k += cols * k_.Bytes(args_.nope);
      for (uint64_t row = wanted.begin; row < wanted.end; ++row, out += cols) {
        const uint64_t j = row - first;
        if (j < args_.nope) {
          for (uint64_t i = 0; i < cols; ++i) out[i] = transposed[i * args_.nope + j];
        } else {
          (v_.*read)(v + (j - args_.nope) * v_.Bytes(cols), cols, out);
        }
      }
      v += args_.v * v_.Bytes(cols);
    }
  }

  uint64_t FirstHead(RowRange range) const { return range.begin / row_quantum(); }
  uint64_t EndHead(RowRange range) const { return (range.end + row_quantum() - 1) / row_quantum(); }
  static const float* OfHead(std::span<const float> importance, uint64_t head, uint64_t cols) {
    return importance.empty() ? nullptr : importance.subspan(head * cols, cols).data();
  }

  GgmlKvBArgs args_;
  GgmlRows k_, v_;
  std::span<const float> k_importance_, v_importance_;  // [heads, columns]
  std::string name_;
};

}  // namespace

const GgmlScheme& GgmlMatrixScheme(Dtype dtype) {
  static const std::vector<GgmlMatrix> schemes = [] {
    std::vector<GgmlMatrix> all;
    for (const Dtype plain : {Dtype::kF32, Dtype::kF16, Dtype::kBF16}) all.emplace_back(plain);
    for (const GgmlTypeInfo& info : AllGgmlTypes()) all.emplace_back(info.type);
    return all;
  }();
  const auto scheme = std::ranges::find(schemes, Name(dtype), &GgmlMatrix::name);
  TESSERA_CHECK(scheme != schemes.end());
  return *scheme;
}

std::unique_ptr<GgmlScheme> MakeGgmlKvBScheme(const GgmlKvBArgs& args) {
  TESSERA_CHECK(args.heads != 0 && args.nope != 0 && args.v != 0);
  return std::make_unique<GgmlKvB>(args);
}

}  // namespace tessera
