#include "quant/ggml_errors.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "quant/kernels/ggml_search.h"
#include "quant/reference.h"

namespace tessera {
namespace {

// Of a step of 1: 1 / sqrt(12).
constexpr float kUniform = 0.28867513f;

void Fill(float* out, size_t values, float step) {
  std::fill_n(out, values, std::abs(step) * kUniform);
}

// Of a level that stands for what is this far below and above it.
float Spread(double below, double above) {
  return static_cast<float>(
      std::sqrt((std::pow(below, 3) + std::pow(above, 3)) / (3 * (below + above))));
}

template <class Block>
void ExpectAffine(const Block& block, float* out) {
  uint8_t scales[8], mins[8];
  UnpackScaleMins(block.scales, scales, mins);
  const float d = reference::DecodeF16(block.d);
  for (size_t j = 0; j < 8; ++j) Fill(out + j * 32, 32, d * static_cast<float>(scales[j]));
}

// By code: values between the middles towards the levels beside it; as far beyond the outer ones.
const std::array<float, 16>& Iq4Errors() {
  static const std::array<float, 16> errors = [] {
    std::array<float, 16> all{};
    const auto& levels = kernels::kIq4Levels;
    for (size_t i = 0; i < 16; ++i) {
      const size_t low = std::max<size_t>(i, 1) - 1, high = std::min<size_t>(i, 14);
      const double below = (levels[low + 1] - levels[low]) / 2;
      const double above = (levels[high + 1] - levels[high]) / 2;
      all[i] = Spread(below, above);
    }
    return all;
  }();
  return errors;
}

}  // namespace

void ExpectErrors(const BlockQ4_0& block, float* out) {
  Fill(out, kGgmlBlock, reference::DecodeF16(block.d));
}
void ExpectErrors(const BlockQ4_1& block, float* out) {
  Fill(out, kGgmlBlock, reference::DecodeF16(block.d));
}
void ExpectErrors(const BlockQ5_0& block, float* out) {
  Fill(out, kGgmlBlock, reference::DecodeF16(block.d));
}
void ExpectErrors(const BlockQ5_1& block, float* out) {
  Fill(out, kGgmlBlock, reference::DecodeF16(block.d));
}
void ExpectErrors(const BlockQ8_0& block, float* out) {
  Fill(out, kGgmlBlock, reference::DecodeF16(block.d));
}

void ExpectErrors(const BlockQ2_K& block, float* out) {
  const float d = reference::DecodeF16(block.d);
  for (size_t j = 0; j < 16; ++j)
    Fill(out + j * 16, 16, d * static_cast<float>(block.scales[j] & 15));
}

void ExpectErrors(const BlockQ3_K& block, float* out) {
  uint8_t scales[16];
  UnpackScales(block, scales);
  const float d = reference::DecodeF16(block.d);
  for (size_t j = 0; j < 16; ++j) Fill(out + j * 16, 16, d * static_cast<float>(scales[j] - 32));
}

void ExpectErrors(const BlockQ4_K& block, float* out) { ExpectAffine(block, out); }
void ExpectErrors(const BlockQ5_K& block, float* out) { ExpectAffine(block, out); }

void ExpectErrors(const BlockQ6_K& block, float* out) {
  const float d = reference::DecodeF16(block.d);
  for (size_t j = 0; j < 16; ++j) Fill(out + j * 16, 16, d * static_cast<float>(block.scales[j]));
}

void ExpectErrors(const BlockIq4Nl& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  const float d = std::abs(reference::DecodeF16(block.d));
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = d * Iq4Errors()[codes[i]];
}

void ExpectErrors(const BlockIq4Xs& block, float* out) {
  uint8_t codes[kGgmlSuperBlock], scales[kGgmlSuperBlock / kGgmlBlock];
  UnpackCodes(block, codes);
  UnpackScales(block, scales);
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlSuperBlock; ++i) {
    const float scale = std::abs(d * static_cast<float>(scales[i / kGgmlBlock] - 32));
    out[i] = scale * Iq4Errors()[codes[i]];
  }
}

void ExpectErrors(const BlockMxfp4& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  // Twice the levels are 0, 1, 2, 3, 4, 6, 8, 12; half a step below and above each.
  constexpr double kBelow[] = {0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 2};
  constexpr double kAbove[] = {0.5, 0.5, 0.5, 0.5, 1, 1, 2, 4};
  const float unit = std::ldexp(1.0f, block.exponent - 128);
  for (size_t i = 0; i < kGgmlBlock; ++i) {
    out[i] = unit * Spread(kBelow[codes[i] % 8], kAbove[codes[i] % 8]);
  }
}

}  // namespace tessera
