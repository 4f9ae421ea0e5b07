#include "quant/scheme_fp8_block.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "quant/kernels/fp8.h"
#include "quant/kernels/fp8_encode.h"
#include "quant/kernels/fp8_errors.h"
#include "quant/reference.h"
#include "quant/rounding_error.h"

namespace tessera {
namespace {

void ExpectErrors(Dtype type, std::span<const uint8_t> codes, float scale, float* out) {
  static const RoundingErrors e5m2(5, 2), e4m3(4, 3, RoundingErrors::TopExponent::kNumbers);
  static const kernels::E4m3Errors of_exponents{e4m3.Of(0x10), e4m3.Of(0x09)};
  if (type == Dtype::kF8E4M3) {
    return kernels::ExpectE4m3Errors(codes.data(), codes.size(), of_exponents, scale, out);
  }
  for (const uint8_t code : codes) *out++ = e5m2.Of(code) * scale;
}

float Bf16(float x) { return reference::DecodeBf16(reference::RoundToBf16(x)); }

float Bf16Scale(float amax) {
  const float scale = Bf16(Bf16(amax) / 448);
  return scale == 0 ? 0x1p-7f : scale;  // BF16's epsilon, as upstream
}

}  // namespace

Fp8BlockScheme::Fp8BlockScheme(const Fp8BlockArgs& args) : args_(args) {
  TESSERA_CHECK(args.code == Dtype::kF8E4M3 || args.code == Dtype::kF8E5M2);
  TESSERA_CHECK(args.scale == Dtype::kF32 || args.scale == Dtype::kBF16 ||
                args.scale == Dtype::kF8E8M0);
  TESSERA_CHECK(args.block_rows > 0 && args.block_cols > 0);
}

std::unique_ptr<Scheme> MakeFp8BlockScheme(const Fp8BlockArgs& args) {
  return std::make_unique<Fp8BlockScheme>(args);
}

std::unique_ptr<Scheme> MakeFp8ChannelScheme(Dtype scale, bool in_bf16) {
  return MakeFp8BlockScheme({.scale = scale,
                             .block_rows = 1,
                             .block_cols = std::numeric_limits<uint32_t>::max(),
                             .in_bf16 = in_bf16,
                             .scale_suffix = ".weight_scale",
                             .name = "fp8-channel"});
}

std::vector<PartSpec> Fp8BlockScheme::Parts(uint64_t rows, uint64_t cols) const {
  const uint64_t scale_rows = (rows + args_.block_rows - 1) / args_.block_rows;
  return {{".weight", args_.code, {rows, cols}},
          {std::string(args_.scale_suffix), args_.scale, {scale_rows, ScaleCols(cols)}}};
}

ByteRange Fp8BlockScheme::PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const {
  TESSERA_CHECK(part < 2);
  if (part == 0) return {range.begin * cols, range.end * cols};
  const uint64_t row_bytes = ScaleCols(cols) * (BitsOf(args_.scale) / 8);
  const uint64_t end = (range.end + args_.block_rows - 1) / args_.block_rows;
  return {range.begin / args_.block_rows * row_bytes, end * row_bytes};
}

void Fp8BlockScheme::CheckParts(uint64_t rows, uint64_t cols, RowRange range, size_t codes,
                                size_t scales) const {
  TESSERA_CHECK(codes == PartBytes(0, rows, cols, range).size());
  TESSERA_CHECK(scales == PartBytes(1, rows, cols, range).size());
}

void Fp8BlockScheme::ReadScales(const std::byte* in, std::span<float> out) const {
  if (IsPlainFloat(args_.scale)) return PlainToF32(args_.scale, in, out.size(), out.data());
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = reference::DecodeE8m0(std::to_integer<uint8_t>(in[i]));
  }
}

void Fp8BlockScheme::DecodeRowsTo(const PlainFloatScheme& to,
                                  std::span<const std::span<const std::byte>> parts, uint64_t rows,
                                  uint64_t cols, RowRange range, std::byte* out,
                                  ValueStats& stats) const {
  TESSERA_CHECK(parts.size() == 2);
  CheckParts(rows, cols, range, parts[0].size(), parts[1].size());
  if (cols == 0) return;
  std::vector<float> scales(ScaleCols(cols));
  const std::byte* scale_bytes = parts[1].data();
  for (uint64_t row = range.begin, next; row < range.end; row = next) {
    next = std::min<uint64_t>(range.end, (row / args_.block_rows + 1) * args_.block_rows);
    ReadScales(scale_bytes, scales);
    scale_bytes += scales.size() * (BitsOf(args_.scale) / 8);
    const uint64_t first = (row - range.begin) * cols;
    const kernels::Fp8Rows block{
        reinterpret_cast<const uint8_t*>(parts[0].data()) + first,
        next - row,
        cols,
        scales.data(),
        args_.block_cols,
        args_.code == Dtype::kF8E4M3 ? kernels::Fp8Code::kE4m3 : kernels::Fp8Code::kE5m2};
    if (to.dtype() == Dtype::kF32) {
      stats.nan_codes += kernels::Fp8ToF32(block, reinterpret_cast<float*>(out) + first);
    } else if (to.dtype() == Dtype::kBF16) {
      stats.nan_codes += kernels::Fp8ToBf16(block, reinterpret_cast<uint16_t*>(out) + first);
    } else {
      stats.nan_codes += kernels::Fp8ToF16(
          block, to.saturate(), reinterpret_cast<uint16_t*>(out) + first, stats.f16_overflows);
    }
  }
}

void Fp8BlockScheme::DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                                uint64_t cols, RowRange range, float* out,
                                ValueStats& stats) const {
  DecodeRowsTo(PlainFloatScheme(Dtype::kF32, false), parts, rows, cols, range,
               reinterpret_cast<std::byte*>(out), stats);
}

bool Fp8BlockScheme::ExpectedErrorRows(std::span<const std::span<const std::byte>> parts,
                                       uint64_t rows, uint64_t cols, RowRange range,
                                       float* out) const {
  TESSERA_CHECK(parts.size() == 2);
  CheckParts(rows, cols, range, parts[0].size(), parts[1].size());
  std::vector<float> scales(ScaleCols(cols));
  const uint64_t scale_bytes = scales.size() * (BitsOf(args_.scale) / 8);
  const uint64_t first_block = range.begin / args_.block_rows;
  const auto* code = reinterpret_cast<const uint8_t*>(parts[0].data());
  for (uint64_t row = range.begin; row < range.end; ++row) {
    ReadScales(parts[1].data() + (row / args_.block_rows - first_block) * scale_bytes, scales);
    for (uint64_t block = 0; block < scales.size(); ++block) {
      const uint64_t width = std::min<uint64_t>(args_.block_cols, cols - block * args_.block_cols);
      ExpectErrors(args_.code, {code, width}, std::abs(scales[block]), out);
      code += width;
      out += width;
    }
  }
  return true;
}

void Fp8BlockScheme::ComputeScales(const RowSource& row, RowRange block, uint64_t cols,
                                   std::span<float> scales) const {
  std::vector<uint32_t> amax(scales.size());
  for (uint64_t i = block.begin; i < block.end; ++i) {
    kernels::RaiseAbsMax(row(i), cols, args_.block_cols, amax.data());
  }
  for (size_t i = 0; i < scales.size(); ++i) {
    const auto largest = std::bit_cast<float>(amax[i]);
    scales[i] = args_.in_bf16
                    ? Bf16Scale(largest)
                    : reference::BlockScale(largest, args_.scale_format == ScaleFormat::kUe8m0);
  }
}

// Quotients as codes under a scale of 1. Upstream adds a zero point of 0: no code is made of -0.
uint64_t Fp8BlockScheme::EncodeInBf16(const float* row, uint64_t cols,
                                      std::span<const float> scales, uint8_t* codes) const {
  std::vector<float> quotients(cols);
  for (uint64_t col = 0; col < cols; ++col) {
    quotients[col] = Bf16(Bf16(row[col]) / scales[col / args_.block_cols]) + 0.0f;
  }
  constexpr float kOne = 1;
  return kernels::F32ToE4m3(quotients.data(), cols, &kOne, std::numeric_limits<uint32_t>::max(),
                            codes);
}

void Fp8BlockScheme::EncodeRowsFrom(const RowSource& row, uint64_t rows, uint64_t cols,
                                    RowRange range, std::span<const std::span<std::byte>> parts,
                                    ValueStats& stats) const {
  TESSERA_CHECK(args_.code == Dtype::kF8E4M3 && args_.scale == Dtype::kF32);
  TESSERA_CHECK(parts.size() == 2 && range.begin % args_.block_rows == 0);
  CheckParts(rows, cols, range, parts[0].size(), parts[1].size());
  if (cols == 0) return;
  std::vector<float> scales(ScaleCols(cols));
  std::byte* scale_bytes = parts[1].data();
  auto* codes = reinterpret_cast<uint8_t*>(parts[0].data());
  for (uint64_t begin = 0; begin < range.size(); begin += args_.block_rows) {
    const RowRange block{begin, std::min<uint64_t>(begin + args_.block_rows, range.size())};
    if (args_.scales_given) {
      ReadScales(scale_bytes, scales);
    } else {
      ComputeScales(row, block, cols, scales);
      std::memcpy(scale_bytes, scales.data(), scales.size() * sizeof(float));
    }
    scale_bytes += scales.size() * sizeof(float);
    for (uint64_t i = block.begin; i < block.end; ++i) {
      stats.not_finite += args_.in_bf16 ? EncodeInBf16(row(i), cols, scales, codes + i * cols)
                                        : kernels::F32ToE4m3(row(i), cols, scales.data(),
                                                             args_.block_cols, codes + i * cols);
    }
  }
}

void Fp8BlockScheme::EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                                std::span<const std::span<std::byte>> parts,
                                ValueStats& stats) const {
  EncodeRowsFrom([&](uint64_t i) { return in + i * cols; }, rows, cols, range, parts, stats);
}

}  // namespace tessera
