// Plain floats as a scheme, for those who must know which one it is.
#pragma once

#include "quant/scheme.h"

namespace tessera {

class PlainFloatScheme final : public Scheme {
 public:
  PlainFloatScheme(Dtype dtype, bool saturate) : dtype_(dtype), saturate_(saturate) {}

  Dtype dtype() const { return dtype_; }
  bool saturate() const { return saturate_; }

  std::string_view name() const override { return Name(dtype_); }
  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override;
  uint64_t row_quantum() const override { return 1; }
  ByteRange PartBytes(size_t part, uint64_t rows, uint64_t cols, RowRange range) const override;
  void DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                  RowRange range, float* out, ValueStats& stats) const override;
  void EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts, ValueStats& stats) const override;
  bool ExpectedErrorRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                         uint64_t cols, RowRange range, float* out) const override;

 private:
  Dtype dtype_;
  bool saturate_;
};

// `n` elements of a plain float type to F32; widening is exact.
void PlainToF32(Dtype dtype, const std::byte* in, size_t n, float* out);

// `n` elements of one plain float type to another one, or F32 to itself; as through F32.
void PlainToPlain(Dtype from, const std::byte* in, size_t n, const PlainFloatScheme& to,
                  std::byte* out, ValueStats& stats);

}  // namespace tessera
