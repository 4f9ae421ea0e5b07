// Rotary positions, with YaRN's stretched frequencies.
#pragma once

#include <cstdint>
#include <vector>

#include "verify/arithmetic.h"
#include "verify/forward_config.h"
#include "verify/matrix.h"

namespace tessera {

// One frequency for each pair of a rotated vector of `dim` elements; F32, as everybody computes
// them.
std::vector<float> RopeFrequencies(const RopeConfig& config, uint32_t dim);

// Where a rotation rounds to BF16: transformers casts cosine, sine and every product, but for V2
// only the result, as DeepSeek's demo does.
enum class RopeRounding : uint8_t { kNone, kResult, kEverywhere };
RopeRounding RoundingOf(Arithmetic arithmetic, const ModelSpec& spec);

// Cosine and sine of every position and frequency.
class RopeTable {
 public:
  RopeTable() = default;
  RopeTable(const RopeConfig& config, uint32_t dim, uint64_t positions, RopeRounding rounding);

  // Rotates a vector of `dim` elements in place; interleaved: pairs are neighbours, else i and
  // i + dim / 2.
  void Rotate(uint64_t position, bool interleaved, float* x) const;

 private:
  Matrix<float> cos_, sin_;
  RopeRounding rounding_{};
};

}  // namespace tessera
