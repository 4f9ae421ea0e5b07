#include <algorithm>
#include <cstring>

#include "quant/int_parts.h"
#include "quant/nibbles.h"
#include "quant/scheme_int.h"

namespace tessera {
namespace {

class CtPackedScheme final : public IntScheme {
 public:
  explicit CtPackedScheme(const CtPackedArgs& args)
      : IntScheme(args.search),
        format_{.bits = args.bits,
                .symmetric = args.symmetric,
                .group = args.group,
                .scale = args.scale,
                .rule = AbsMaxRule::kCompressedTensors},
        shape_(args.shape),
        name_("w" + std::to_string(args.bits) + (args.symmetric ? "a16" : "a16-asym")) {
    TESSERA_CHECK(args.bits == 4 || args.bits == 8);
    TESSERA_CHECK(IsPlainFloat(args.scale));
    TESSERA_CHECK(args.shape == Dtype::kI64 || args.shape == Dtype::kI32);
  }

  std::string_view name() const override { return name_; }
  const IntFormat& format() const override { return format_; }
  // Zero points of several rows share a word.
  uint64_t row_quantum() const override { return format_.symmetric ? 1 : CodesAWord(); }
  Result<void> Accepts(uint64_t rows, uint64_t cols) const override;
  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override;
  ByteRange PartBytes(size_t part, uint64_t rows, uint64_t cols, RowRange range) const override;
  void ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                 RowRange range, const IntRows& out, ValueStats& stats) const override;
  void WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts) const override;

 private:
  static constexpr size_t kCodes = 0, kScales = 1, kZeros = 2;

  uint64_t CodesAWord() const { return static_cast<uint64_t>(32 / format_.bits); }
  uint64_t Words(uint64_t codes) const { return (codes + CodesAWord() - 1) / CodesAWord(); }
  size_t ShapePart() const { return format_.symmetric ? kZeros : kZeros + 1; }
  size_t CountParts() const { return ShapePart() + 1; }
  // What codes and zeros are stored with added.
  int Offset() const { return -format_.lowest(); }

  void CheckParts(auto parts, uint64_t rows, uint64_t cols, RowRange range) const {
    TESSERA_CHECK(parts.size() == CountParts());
    for (size_t i = 0; i < parts.size(); ++i) {
      TESSERA_CHECK(parts[i].size() == PartBytes(i, rows, cols, range).size());
    }
  }
  std::vector<std::byte> ShapeBytes(uint64_t rows, uint64_t cols) const;
  void PackRow(const int8_t* codes, uint64_t n, std::span<std::byte> out) const;
  void UnpackRow(std::span<const std::byte> in, uint64_t n, int8_t* codes) const;
  void ReadZeros(std::span<const std::byte> words, RowRange range, const IntRows& out) const;
  void WriteZeros(const IntRows& in, std::span<std::byte> words) const;

  IntFormat format_;
  Dtype shape_;
  std::string name_;
};

Result<void> CtPackedScheme::Accepts(uint64_t rows, uint64_t cols) const {
  if (format_.group == 0 || cols % format_.group == 0) return {};
  std::string fits = "one scale a row";
  for (const uint64_t group : {32u, 64u, 128u}) {
    if (cols % group == 0) fits = "groups of " + std::to_string(group) + ", or " + fits;
  }
  return Fail(Error(ErrorCode::kUnsupported, "compressed-tensors has no shorter last group")
                  .Expected("a multiple of " + std::to_string(format_.group) + " columns")
                  .Found(ToString({rows, cols}))
                  .Next("What fits: " + fits + "."));
}

std::vector<PartSpec> CtPackedScheme::Parts(uint64_t rows, uint64_t cols) const {
  const uint64_t groups = format_.Groups(cols);
  std::vector<PartSpec> parts = {{".weight_packed", Dtype::kI32, {rows, Words(cols)}},
                                 {".weight_scale", format_.scale, {rows, groups}}};
  if (!format_.symmetric) {
    parts.push_back({".weight_zero_point", Dtype::kI32, {Words(rows), groups}});
  }
  parts.push_back({".weight_shape", shape_, {2}, true});
  return parts;
}

ByteRange CtPackedScheme::PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const {
  TESSERA_CHECK(part < CountParts());
  if (part == ShapePart()) return ConstantBytes(2 * (BitsOf(shape_) / 8), range);
  if (part == kZeros) {
    const uint64_t row_bytes = format_.Groups(cols) * sizeof(uint32_t);
    return {range.begin / CodesAWord() * row_bytes, Words(range.end) * row_bytes};
  }
  const uint64_t row_bytes = part == kCodes ? Words(cols) * sizeof(uint32_t)
                                            : format_.Groups(cols) * (BitsOf(format_.scale) / 8);
  return {range.begin * row_bytes, range.end * row_bytes};
}

std::vector<std::byte> CtPackedScheme::ShapeBytes(uint64_t rows, uint64_t cols) const {
  const uint64_t width = BitsOf(shape_) / 8;
  std::vector<std::byte> bytes(2 * width);
  std::memcpy(bytes.data(), &rows, width);
  std::memcpy(bytes.data() + width, &cols, width);
  return bytes;
}

// Codes fill words from the lowest bits up, little-endian: bytes in order. What is left of the last
// word is zero bits.
void CtPackedScheme::PackRow(const int8_t* codes, uint64_t n, std::span<std::byte> out) const {
  if (format_.bits == 4) {
    PackNibbles(codes, n, NibbleSign::kOffset8, out.data());
  } else {
    for (uint64_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>(codes[i] + 128);
  }
  const uint64_t used = (n * static_cast<uint64_t>(format_.bits) + 7) / 8;
  std::ranges::fill(out.subspan(used), std::byte{0});
}

void CtPackedScheme::UnpackRow(std::span<const std::byte> in, uint64_t n, int8_t* codes) const {
  if (format_.bits == 4) return UnpackNibbles(in.data(), n, NibbleSign::kOffset8, codes);
  for (uint64_t i = 0; i < n; ++i) {
    codes[i] = static_cast<int8_t>(std::to_integer<int>(in[i]) - 128);
  }
}

// Word r of a column holds the zeros of rows r * CodesAWord() and on, the first one lowest.
void CtPackedScheme::ReadZeros(std::span<const std::byte> words, RowRange range,
                               const IntRows& out) const {
  const uint64_t first = range.begin / CodesAWord() * CodesAWord();
  const uint32_t mask = (1u << format_.bits) - 1;
  for (uint64_t i = 0; i < out.rows; ++i) {
    const uint64_t row = range.begin + i - first;
    const auto shift = row % CodesAWord() * static_cast<uint64_t>(format_.bits);
    for (uint64_t group = 0; group < out.groups; ++group) {
      uint32_t word;
      std::memcpy(&word, &words[(row / CodesAWord() * out.groups + group) * sizeof(word)],
                  sizeof(word));
      const int zero = static_cast<int>((word >> shift) & mask) - Offset();
      out.zeros[i * out.groups + group] = static_cast<int8_t>(zero);
    }
  }
}

void CtPackedScheme::WriteZeros(const IntRows& in, std::span<std::byte> words) const {
  for (uint64_t at = 0; at < Words(in.rows) * in.groups; ++at) {
    const uint64_t first = at / in.groups * CodesAWord();
    uint32_t word = 0;
    for (uint64_t i = 0; i < CodesAWord() && first + i < in.rows; ++i) {
      const int zero = in.zeros[(first + i) * in.groups + at % in.groups] + Offset();
      word |= static_cast<uint32_t>(zero) << i * static_cast<uint64_t>(format_.bits);
    }
    std::memcpy(&words[at * sizeof(word)], &word, sizeof(word));
  }
}

void CtPackedScheme::ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                               uint64_t cols, RowRange range, const IntRows& out,
                               ValueStats& stats) const {
  CheckParts(parts, rows, cols, range);
  const uint64_t row_bytes = Words(cols) * sizeof(uint32_t);
  for (uint64_t i = 0; i < out.rows; ++i) {
    UnpackRow(parts[kCodes].subspan(i * row_bytes, row_bytes), cols, &out.codes[i * cols]);
  }
  ReadScales(format_.scale, parts[kScales], out.scales);
  if (format_.symmetric) {
    std::ranges::fill(out.zeros, int8_t{0});
  } else {
    ReadZeros(parts[kZeros], range, out);
  }
  const auto shape = parts[ShapePart()];
  if (!shape.empty() && !std::ranges::equal(shape, ShapeBytes(rows, cols))) {
    ++stats.wrong_constants;
  }
}

void CtPackedScheme::WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                                std::span<const std::span<std::byte>> parts) const {
  CheckParts(parts, rows, cols, range);
  TESSERA_CHECK(range.begin % row_quantum() == 0);
  const uint64_t row_bytes = Words(cols) * sizeof(uint32_t);
  for (uint64_t i = 0; i < in.rows; ++i) {
    PackRow(in.codes.data() + i * cols, cols, parts[kCodes].subspan(i * row_bytes, row_bytes));
  }
  WriteScales(format_.scale, in.scales, parts[kScales]);
  if (!format_.symmetric) WriteZeros(in, parts[kZeros]);
  if (const auto shape = parts[ShapePart()]; !shape.empty()) {
    std::ranges::copy(ShapeBytes(rows, cols), shape.begin());
  }
}

}  // namespace

std::unique_ptr<IntScheme> MakeCtPackedScheme(const CtPackedArgs& args) {
  return std::make_unique<CtPackedScheme>(args);
}

}  // namespace tessera
