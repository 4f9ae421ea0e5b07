// Weights as integers: a scheme is a format and a way to pack; quantizing and decoding are shared.
#pragma once

#include "quant/int_format.h"
#include "quant/scheme.h"

namespace tessera {

// Some rows as integers: value = (code - zero) * scale. Codes and zeros are signed, [-8, 7] or
// [-128, 127], whatever offset they are stored with.
struct IntRows {
  uint64_t rows, cols, groups;
  std::span<int8_t> codes;  // [rows, cols]
  std::span<float> scales;  // [rows, groups]; rows that share a scale repeat it
  std::span<int8_t> zeros;  // [rows, groups]; all 0 where symmetric
};

// IntRows with memory of its own.
class IntBuffer {
 public:
  IntBuffer(const IntFormat& format, uint64_t rows, uint64_t cols);

  const IntRows& rows() const { return rows_; }

 private:
  std::vector<int8_t> codes_, zeros_;
  std::vector<float> scales_;
  IntRows rows_;
};

class IntScheme : public Scheme {
 public:
  explicit IntScheme(Search search) : search_(search) {}

  virtual const IntFormat& format() const = 0;
  Search search() const { return search_; }

  // Rows [range) of `parts` unpacked. Scales come out as F32, exactly; a constant part or a zero
  // that is not what it should be is counted in stats.wrong_constants.
  virtual void ReadCodes(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                         uint64_t cols, RowRange range, const IntRows& out,
                         ValueStats& stats) const = 0;
  // The inverse: every byte of the range's share. Scales are of format().scale's values already.
  virtual void WriteCodes(const IntRows& in, uint64_t rows, uint64_t cols, RowRange range,
                          std::span<const std::span<std::byte>> parts) const = 0;

  // (code - zero) * scale, in F32.
  void DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows, uint64_t cols,
                  RowRange range, float* out, ValueStats& stats) const final;
  void EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts, ValueStats& stats) const final;

 private:
  Search search_;
};

}  // namespace tessera
