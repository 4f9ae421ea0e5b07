// Block FP8 as a scheme, for those who decode it to something else than F32.
#pragma once

#include <functional>

#include "quant/scheme.h"
#include "quant/scheme_plain.h"

namespace tessera {

class Fp8BlockScheme final : public Scheme {
 public:
  explicit Fp8BlockScheme(const Fp8BlockArgs& args);

  const Fp8BlockArgs& args() const { return args_; }

  std::string_view name() const override { return args_.name; }
  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override;
  uint64_t row_quantum() const override { return args_.block_rows; }
  ByteRange PartBytes(size_t part, uint64_t rows, uint64_t cols, RowRange range) const override;
  void DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                  RowRange range, float* out, ValueStats& stats) const override;
  void EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts, ValueStats& stats) const override;
  bool ExpectedErrorRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                         uint64_t cols, RowRange range, float* out) const override;

  // DecodeRows straight to a plain float type.
  void DecodeRowsTo(const PlainFloatScheme& to, std::span<const std::span<const std::byte>> parts,
                    uint64_t rows, uint64_t cols, RowRange range, std::byte* out,
                    ValueStats& stats) const;

  // EncodeRows with rows made when asked for. `row` returns row i of the range, valid until the
  // next call; each is asked for once for its block's scales and once more for its codes.
  using RowSource = std::function<const float*(uint64_t i)>;
  void EncodeRowsFrom(const RowSource& row, uint64_t rows, uint64_t cols, RowRange range,
                      std::span<const std::span<std::byte>> parts, ValueStats& stats) const;

 private:
  uint64_t ScaleCols(uint64_t cols) const {
    return (cols + args_.block_cols - 1) / args_.block_cols;
  }
  void CheckParts(uint64_t rows, uint64_t cols, RowRange range, size_t codes, size_t scales) const;
  // One row of scales as F32.
  void ReadScales(const std::byte* in, std::span<float> out) const;
  uint64_t EncodeInBf16(const float* row, uint64_t cols, std::span<const float> scales,
                        uint8_t* codes) const;
  void ComputeScales(const RowSource& row, RowRange block, uint64_t cols,
                     std::span<float> scales) const;

  Fp8BlockArgs args_;
};

}  // namespace tessera
