// What ggml's quantizers spend their time on, over many blocks at a time: each SIMD lane takes a
// block of its own and follows ggml's order of operations within it, sums from left to right and
// nothing fused, so that the bits are those of the plain C code. Pointers need not be aligned.
//
// Codes are always the nearest integer, or level, within the bounds that are given; as bytes,
// counted from the lowest.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

// What weighs the error of a value x.
enum class ErrorWeight : uint8_t {
  kGiven,
  kSquare,             // x^2
  kMagnitude,          // |x|
  kMagnitudeAboveRms,  // |x| + the root of the block's mean x^2
};

inline constexpr size_t kMaxBlockLength = 32;

// Blocks that lie one after another.
struct BlockSpan {
  const float* x;
  size_t length;  // values of a block: a multiple of 16, up to kMaxBlockLength
  size_t count;   // blocks, at least 1
  ErrorWeight weighting = ErrorWeight::kGiven;
  const float* weights = nullptr;  // kGiven: one a value, not negative
};

// Tries (first + i * step + top) / range as inverse scales, i = 0 .. trials - 1.
struct AffineTrials {
  int top;  // the largest code
  float first, step;
  int trials;
  bool absolute;  // judged by sums of |error|, not of its square
};

// x is about scale * code - min, both not negative as a rule.
void SearchAffine(const BlockSpan& blocks, const AffineTrials& trials, float* scales, float* mins,
                  uint8_t* codes);

// x is about scale * (code - half). All codes are 0, and the scale too, where nothing reaches
// kNoMagnitude.
void SearchSymmetric(const BlockSpan& blocks, int half, float* scales, uint8_t* codes);

// The same for half = 4 and blocks of 16 under x^2: starts from the scale of the largest magnitude
// and moves one code at a time while that helps, five times round.
void DescendSymmetric(const float* x, size_t count, float* scales, uint8_t* codes);

// x is about scale * kIq4Levels[code].
void SearchIq4(const BlockSpan& blocks, float* scales);

inline constexpr float kNoMagnitude = 1e-15f;
// The 16 values that an IQ4 code stands for, before the scale.
inline constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace tessera::kernels
