// Integers of a weight to pack and unpack.
#pragma once

#include <cmath>
#include <random>

#include "quant/int_scheme.h"
#include "tests/quant/scheme_parts.h"

namespace tessera {

// A whole weight as integers, with memory of its own.
struct IntValues {
  uint64_t rows = 0, cols = 0, groups = 0;
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<int8_t> zeros;

  IntValues(const IntFormat& format, uint64_t rows, uint64_t cols)
      : rows(rows),
        cols(cols),
        groups(format.Groups(cols)),
        codes(rows * cols),
        scales(rows * groups, 1.0f),
        zeros(rows * groups) {}

  IntRows View() { return {rows, cols, groups, codes, scales, zeros}; }
  friend bool operator==(const IntValues&, const IntValues&) = default;
};

inline int8_t RandomCode(const IntFormat& format, std::mt19937& random) {
  return static_cast<int8_t>(static_cast<int>(random() % (1u << format.bits)) + format.lowest());
}

// Every code and zero point, and scales that F16 and BF16 hold.
inline IntValues RandomInts(const IntFormat& format, uint64_t rows, uint64_t cols, unsigned seed) {
  std::mt19937 random(seed);
  IntValues values(format, rows, cols);
  for (int8_t& code : values.codes) code = RandomCode(format, random);
  for (float& scale : values.scales) {
    scale = std::ldexp(static_cast<float>(128 + random() % 128), -16);
  }
  if (format.symmetric) return values;
  for (int8_t& zero : values.zeros) zero = RandomCode(format, random);
  return values;
}

inline std::vector<Bytes> Packed(const IntScheme& scheme, IntValues& values) {
  std::vector<Bytes> parts = PartsFor(scheme, values.rows, values.cols, {0, values.rows});
  scheme.WriteCodes(values.View(), values.rows, values.cols, {0, values.rows},
                    Spans<std::byte>(parts));
  return parts;
}

inline IntValues Unpacked(const IntScheme& scheme, std::vector<Bytes>& parts, uint64_t rows,
                          uint64_t cols, ValueStats& stats) {
  IntValues values(scheme.format(), rows, cols);
  scheme.ReadCodes(Spans<const std::byte>(parts), rows, cols, {0, rows}, values.View(), stats);
  return values;
}

}  // namespace tessera
