// Memory for the parts of a stored matrix.
#pragma once

#include <cstring>
#include <vector>

#include "quant/scheme.h"

namespace tessera {

using Bytes = std::vector<std::byte>;

template <class Byte>
std::vector<std::span<Byte>> Spans(std::vector<Bytes>& parts) {
  return {parts.begin(), parts.end()};
}

inline std::vector<Bytes> PartsFor(const Scheme& scheme, uint64_t rows, uint64_t cols,
                                   RowRange range) {
  std::vector<Bytes> parts;
  for (size_t i = 0; i < scheme.Parts(rows, cols).size(); ++i) {
    parts.emplace_back(scheme.PartBytes(i, rows, cols, range).size());
  }
  return parts;
}

template <class T>
T At(const Bytes& bytes, uint64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace tessera
