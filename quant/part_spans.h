// The bytes that a scheme's parts have for some rows: cutting them out, and checking them.
#pragma once

#include <vector>

#include "quant/scheme.h"

namespace tessera {

// The spans of `range`, given those of `whole`.
template <class Byte>
std::vector<std::span<Byte>> PartSpansWithin(const Scheme& scheme,
                                             std::span<const std::span<Byte>> parts, uint64_t rows,
                                             uint64_t cols, RowRange whole, RowRange range) {
  std::vector<std::span<Byte>> within;
  for (size_t i = 0; i < parts.size(); ++i) {
    const uint64_t origin = scheme.PartBytes(i, rows, cols, whole).begin;
    const ByteRange bytes = scheme.PartBytes(i, rows, cols, range);
    within.push_back(parts[i].subspan(bytes.begin - origin, bytes.size()));
  }
  return within;
}

template <class Byte>
void CheckPartSpans(const Scheme& scheme, std::span<const std::span<Byte>> parts, uint64_t rows,
                    uint64_t cols, RowRange range) {
  TESSERA_CHECK(parts.size() == scheme.Parts(rows, cols).size());
  for (size_t i = 0; i < parts.size(); ++i) {
    TESSERA_CHECK(parts[i].size() == scheme.PartBytes(i, rows, cols, range).size());
  }
}

}  // namespace tessera
