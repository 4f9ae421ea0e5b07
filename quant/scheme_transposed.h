// What AWQ and GPTQ share: their parts hold the transposed weight, [columns, rows] and [groups,
// rows], with 32 / bits codes or zero points to a word.
#pragma once

#include "quant/int_scheme.h"
#include "quant/kernels/pack.h"

namespace tessera {

class TransposedScheme : public IntScheme {
 public:
  const IntFormat& format() const final { return format_; }
  // Whole words and whole groups, as the engines want them.
  Result<void> Accepts(uint64_t rows, uint64_t cols) const override;
  uint64_t row_quantum() const final { return per_word_; }
  bool is_whole() const final { return true; }
  ByteRange PartBytes(size_t part, uint64_t rows, uint64_t cols, RowRange range) const final;

 protected:
  TransposedScheme(const IntFormat& format, Search search);

  uint64_t Words(uint64_t codes) const { return (codes + per_word_ - 1) / per_word_; }
  // Codes are stored unsigned: what turns a signed one into that.
  uint8_t flip() const { return static_cast<uint8_t>(1u << (format_.bits - 1)); }

  // Nibbles of which eight rows make a word, [cols, rows / 8]; rows may begin within a word.
  static void ReadNibbles(std::span<const std::byte> part, uint64_t rows, uint64_t cols,
                          RowRange range, const kernels::NibbleOrder& order, std::span<int8_t> out);
  // ".scales", F16 [groups, rows].
  static void ReadScales(std::span<const std::byte> part, uint64_t rows, RowRange range,
                         const IntRows& out);
  static void WriteScales(const IntRows& in, uint64_t rows, RowRange range,
                          std::span<std::byte> part);

 private:
  IntFormat format_;
  uint64_t per_word_;
};

}  // namespace tessera
