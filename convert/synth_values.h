// Invented weight values: counter-based, so that any element can be made alone and the cut into
// tiles cannot show; made of integers, products and square roots only, which IEEE rounds alike
// everywhere, never of a math library's log or cos.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "formats/model_spec.h"

namespace tessera {

// The values of one tensor. Linears are heavy-tailed (one element in sixteen is drawn 2 to 16 times
// wider) with a width per row and some wide columns; their second moment is 1 / columns, so
// activations keep their size. Router rows are alike in norm; norms lie near 1.
class SynthValues {
 public:
  // MTP copies of embedding and head get the originals' values.
  SynthValues(const ModelSpec& spec, const TensorRole& role, const Shape& shape, uint64_t seed);

  // Rows [begin, begin + out.size() / columns) of the matrix; a vector is one row.
  void FillRows(uint64_t begin, std::span<float> out) const;
  uint64_t columns() const { return columns_; }

 private:
  enum class Kind : uint8_t { kLinear, kRouter, kNorm, kBias, kRouterBias, kBuffer };

  void FillLinearRow(uint64_t row, std::span<float> out) const;

  Kind kind_{};
  uint64_t key_ = 0;
  uint64_t columns_ = 0;
  float unit_ = 0;                   // makes a draw's integer a value of the wanted width
  std::vector<float> column_width_;  // linears only
};

}  // namespace tessera
