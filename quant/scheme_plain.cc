#include "quant/scheme_plain.h"

#include <array>
#include <cstring>

#include "quant/kernels/round.h"
#include "quant/rounding_error.h"

namespace tessera {
namespace {

const uint16_t* Half(const std::byte* p) { return reinterpret_cast<const uint16_t*>(p); }
uint16_t* Half(std::byte* p) { return reinterpret_cast<uint16_t*>(p); }

}  // namespace

void PlainToF32(Dtype dtype, const std::byte* in, size_t n, float* out) {
  TESSERA_CHECK(IsPlainFloat(dtype));
  if (n == 0) return;
  if (dtype == Dtype::kBF16) return kernels::Bf16ToF32(Half(in), n, out);
  if (dtype == Dtype::kF16) return kernels::F16ToF32(Half(in), n, out);
  std::memcpy(out, in, n * sizeof(float));
}

void PlainToPlain(Dtype from, const std::byte* in, size_t n, const PlainFloatScheme& to,
                  std::byte* out, ValueStats& stats) {
  TESSERA_CHECK(IsPlainFloat(from) && (from != to.dtype() || from == Dtype::kF32));
  if (n == 0) return;
  const auto* single = reinterpret_cast<const float*>(in);
  if (to.dtype() == Dtype::kF32) {
    PlainToF32(from, in, n, reinterpret_cast<float*>(out));
  } else if (to.dtype() == Dtype::kBF16) {
    if (from == Dtype::kF16) return kernels::F16ToBf16(Half(in), n, Half(out));
    kernels::F32ToBf16(single, n, Half(out));
  } else {
    stats.f16_overflows += from == Dtype::kBF16
                               ? kernels::Bf16ToF16(Half(in), n, to.saturate(), Half(out))
                               : kernels::F32ToF16(single, n, to.saturate(), Half(out));
  }
}

std::vector<PartSpec> PlainFloatScheme::Parts(uint64_t rows, uint64_t cols) const {
  return {{".weight", dtype_, {rows, cols}}};
}

ByteRange PlainFloatScheme::PartBytes(size_t part, uint64_t, uint64_t cols, RowRange range) const {
  TESSERA_CHECK(part == 0);
  const uint64_t row_bytes = cols * (BitsOf(dtype_) / 8);
  return {range.begin * row_bytes, range.end * row_bytes};
}

void PlainFloatScheme::DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                                  uint64_t cols, RowRange range, float* out, ValueStats&) const {
  TESSERA_CHECK(parts.size() == 1 && parts[0].size() == PartBytes(0, rows, cols, range).size());
  PlainToF32(dtype_, parts[0].data(), range.size() * cols, out);
}

void PlainFloatScheme::EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                                  std::span<const std::span<std::byte>> parts,
                                  ValueStats& stats) const {
  TESSERA_CHECK(parts.size() == 1 && parts[0].size() == PartBytes(0, rows, cols, range).size());
  PlainToPlain(Dtype::kF32, reinterpret_cast<const std::byte*>(in), range.size() * cols, *this,
               parts[0].data(), stats);
}

bool PlainFloatScheme::ExpectedErrorRows(std::span<const std::span<const std::byte>> parts,
                                         uint64_t, uint64_t cols, RowRange range,
                                         float* out) const {
  const size_t n = range.size() * cols;
  const std::byte* in = parts[0].data();
  if (dtype_ == Dtype::kF32) {
    static const RoundingErrors errors(8, 23);
    for (size_t i = 0; i < n; ++i) {
      uint32_t bits;
      std::memcpy(&bits, in + i * sizeof bits, sizeof bits);
      out[i] = errors.Of(bits);
    }
    return true;
  }
  static const RoundingErrors bf16(8, 7), f16(5, 10);
  const RoundingErrors& errors = dtype_ == Dtype::kBF16 ? bf16 : f16;
  for (size_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, in + i * sizeof bits, sizeof bits);
    out[i] = errors.Of(bits);
  }
  return true;
}

const Scheme& PlainScheme(Dtype dtype, bool saturate) {
  static const PlainFloatScheme f32(Dtype::kF32, false), bf16(Dtype::kBF16, false),
      f16(Dtype::kF16, false), f16_saturated(Dtype::kF16, true);
  TESSERA_CHECK(IsPlainFloat(dtype));
  if (dtype == Dtype::kF32) return f32;
  if (dtype == Dtype::kBF16) return bf16;
  return saturate ? f16_saturated : f16;
}

}  // namespace tessera
