#include "quant/reference_ggml.h"

#include <algorithm>
#include <cmath>

#include "quant/ggml_blocks.h"
#include "quant/reference.h"

namespace tessera::reference {
namespace {

using kernels::AffineTrials;
using kernels::BlockSpan;
using kernels::ErrorWeight;
using kernels::kIq4Levels;
using kernels::kMaxBlockLength;
using kernels::kNoMagnitude;

struct Block {
  const float* x;
  size_t n;
  float w[kMaxBlockLength];
};

float WeightOf(float x, ErrorWeight weighting, float rms) {
  switch (weighting) {
    case ErrorWeight::kGiven:
      break;
    case ErrorWeight::kSquare:
      return x * x;
    case ErrorWeight::kMagnitude:
      return std::fabs(x);
    case ErrorWeight::kMagnitudeAboveRms:
      return rms + std::fabs(x);
  }
  return 0;
}

Block BlockAt(const BlockSpan& blocks, size_t i) {
  Block block{blocks.x + i * blocks.length, blocks.length, {}};
  if (blocks.weighting == ErrorWeight::kGiven) {
    std::copy_n(blocks.weights + i * blocks.length, block.n, block.w);
    return block;
  }
  float squares = 0;
  SumSquares(block.x, block.n, 1, &squares);
  const float rms = std::sqrt(squares / static_cast<float>(block.n));
  for (size_t j = 0; j < block.n; ++j) block.w[j] = WeightOf(block.x[j], blocks.weighting, rms);
  return block;
}

int NearestWithin(float x, int lowest, int highest) {
  return std::clamp(NearestInt(x), lowest, highest);
}

struct Affine {
  float scale, min;         // min as it is added, not as it is returned
  float inverse, subtract;  // what the codes are made with
};

int CodeUnder(const Affine& fit, float x, int top) {
  return NearestWithin(fit.inverse * (x - fit.subtract), 0, top);
}

float ErrorOf(const Block& b, const Affine& fit, const AffineTrials& trials) {
  float sum = 0;
  for (size_t i = 0; i < b.n; ++i) {
    const auto code = static_cast<float>(CodeUnder(fit, b.x[i], trials.top));
    const float diff = fit.scale * code + fit.min - b.x[i];
    sum += b.w[i] * (trials.absolute ? std::fabs(diff) : diff * diff);
  }
  return sum;
}

// The scale and minimum of least squared error under the codes of `fit`; false if there is none.
bool Refit(const Block& b, float sum_w, float sum_x, int top, Affine& fit) {
  float sum_l = 0, sum_ll = 0, sum_xl = 0;
  for (size_t i = 0; i < b.n; ++i) {
    const auto code = static_cast<float>(CodeUnder(fit, b.x[i], top));
    sum_l += b.w[i] * code;
    sum_ll += b.w[i] * code * code;
    sum_xl += b.w[i] * code * b.x[i];
  }
  const float determinant = sum_w * sum_ll - sum_l * sum_l;
  if (!(determinant > 0)) return false;
  fit.scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
  fit.min = (sum_ll * sum_x - sum_l * sum_xl) / determinant;
  if (fit.min > 0) {
    fit.min = 0;
    fit.scale = sum_xl / sum_ll;
  }
  return true;
}

Affine FitAffine(const Block& b, const AffineTrials& trials) {
  float min = b.x[0], max = b.x[0], sum_w = b.w[0], sum_x = b.w[0] * b.x[0];
  for (size_t i = 1; i < b.n; ++i) {
    if (b.x[i] < min) min = b.x[i];
    if (b.x[i] > max) max = b.x[i];
    sum_w += b.w[i];
    sum_x += b.w[i] * b.x[i];
  }
  if (min > 0) min = 0;
  if (max == min) return {0, min, 0, 0};
  const auto top = static_cast<float>(trials.top);
  const float inverse = top / (max - min);
  Affine best{1 / inverse, min, inverse, min};
  float best_error = ErrorOf(b, best, trials);
  for (int i = 0; i < trials.trials; ++i) {
    // The range is that from the minimum accepted last, not from the block's own.
    Affine trial{0, 0, 0, best.min};
    trial.inverse = (trials.first + trials.step * static_cast<float>(i) + top) / (max - best.min);
    if (!Refit(b, sum_w, sum_x, trials.top, trial)) continue;
    const float error = ErrorOf(b, trial, trials);
    if (error < best_error) {
      best = trial;
      best_error = error;
    }
  }
  return best;
}

struct Sums {
  float xl = 0, ll = 0;
};

Sums SumsUnder(const Block& b, float inverse, int half) {
  Sums sums;
  for (size_t i = 0; i < b.n; ++i) {
    const auto code = static_cast<float>(NearestWithin(inverse * b.x[i], -half, half - 1));
    sums.xl += b.w[i] * b.x[i] * code;
    sums.ll += b.w[i] * code * code;
  }
  return sums;
}

float FitSymmetric(const Block& b, float max, int half, float& best_inverse) {
  const auto top = static_cast<float>(half);
  best_inverse = -top / max;
  Sums sums = SumsUnder(b, best_inverse, half);
  float scale = sums.ll != 0 ? sums.xl / sums.ll : 0.0f;
  float best = scale * sums.xl;
  for (int i = -9; i <= 9; ++i) {
    if (i == 0) continue;
    const float inverse = -(top + 0.1f * static_cast<float>(i)) / max;
    sums = SumsUnder(b, inverse, half);
    if (sums.ll > 0 && sums.xl * sums.xl > best * sums.ll) {
      scale = sums.xl / sums.ll;
      best = scale * sums.xl;
      best_inverse = inverse;
    }
  }
  return scale;
}

// Gives value i another code if that lowers the error under the best scale.
bool MoveCode(float x, Sums& sums, int& code) {
  const float w = x * x;
  const auto at = static_cast<float>(code);
  Sums without{sums.xl - w * x * at, 0};
  if (!(without.xl > 0)) return false;
  without.ll = sums.ll - w * at * at;
  const int moved = NearestWithin(x * without.ll / without.xl, -4, 3);
  if (moved == code) return false;
  const auto to = static_cast<float>(moved);
  without.xl += w * x * to;
  without.ll += w * to * to;
  if (!(without.ll > 0 && without.xl * without.xl * sums.ll > sums.xl * sums.xl * without.ll)) {
    return false;
  }
  code = moved;
  sums = without;
  return true;
}

float Descend(const float* x, float max, uint8_t* codes) {
  constexpr size_t kLength = 16;
  const BlockSpan span{x, kLength, 1, ErrorWeight::kSquare};
  const float inverse = -4 / max;
  Sums sums = SumsUnder(BlockAt(span, 0), inverse, 4);
  int moving[kLength];
  for (size_t i = 0; i < kLength; ++i) moving[i] = NearestWithin(inverse * x[i], -4, 3);
  for (int round = 0; round < 5; ++round) {
    bool moved = false;
    for (size_t i = 0; i < kLength; ++i) moved |= MoveCode(x[i], sums, moving[i]);
    if (!moved) break;
  }
  for (size_t i = 0; i < kLength; ++i) codes[i] = static_cast<uint8_t>(moving[i] + 4);
  return sums.ll > 0 ? sums.xl / sums.ll : 0.0f;
}

uint8_t NearestLevel(float x) {
  if (x <= kIq4Levels[0]) return 0;
  if (x >= kIq4Levels[15]) return 15;
  size_t upper = 1;
  while (upper < 15 && !(x < kIq4Levels[upper])) ++upper;
  const bool lower = x - kIq4Levels[upper - 1] < kIq4Levels[upper] - x;
  return static_cast<uint8_t>(lower ? upper - 1 : upper);
}

Sums LevelSumsUnder(const Block& b, float inverse) {
  Sums sums;
  for (size_t i = 0; i < b.n; ++i) {
    const float level = kIq4Levels[NearestLevel(inverse * b.x[i])];
    sums.xl += b.w[i] * level * b.x[i];
    sums.ll += b.w[i] * level * level;
  }
  return sums;
}

float FitIq4(const Block& b, float max) {
  const float lowest = kIq4Levels[0];
  Sums sums = LevelSumsUnder(b, 1 / (-max / lowest));
  float scale = sums.ll > 0 ? sums.xl / sums.ll : 0.0f;
  float best = scale * sums.xl;
  for (int i = -7; i <= 7; ++i) {
    sums = LevelSumsUnder(b, (static_cast<float>(i) + lowest) / max);
    if (sums.ll > 0 && sums.xl * sums.xl > best * sums.ll) {
      scale = sums.xl / sums.ll;
      best = scale * sums.xl;
    }
  }
  return scale;
}

}  // namespace

float SignedMax(const float* x, size_t n) {
  float max = 0;
  for (size_t i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(max)) max = x[i];
  }
  return max;
}

void SearchAffine(const BlockSpan& blocks, const AffineTrials& trials, float* scales, float* mins,
                  uint8_t* codes) {
  for (size_t i = 0; i < blocks.count; ++i, codes += blocks.length) {
    const Block block = BlockAt(blocks, i);
    const Affine fit = FitAffine(block, trials);
    scales[i] = fit.scale;
    mins[i] = -fit.min;
    for (size_t j = 0; j < block.n; ++j) {
      codes[j] = static_cast<uint8_t>(CodeUnder(fit, block.x[j], trials.top));
    }
  }
}

void SearchSymmetric(const BlockSpan& blocks, int half, float* scales, uint8_t* codes) {
  for (size_t i = 0; i < blocks.count; ++i, codes += blocks.length) {
    const Block block = BlockAt(blocks, i);
    const float max = SignedMax(block.x, block.n);
    scales[i] = 0;
    std::fill_n(codes, block.n, 0);
    if (std::fabs(max) < kNoMagnitude) continue;
    float inverse = 0;
    scales[i] = FitSymmetric(block, max, half, inverse);
    for (size_t j = 0; j < block.n; ++j) {
      const int code = NearestWithin(inverse * block.x[j], -half, half - 1);
      codes[j] = static_cast<uint8_t>(code + half);
    }
  }
}

void DescendSymmetric(const float* x, size_t count, float* scales, uint8_t* codes) {
  for (size_t i = 0; i < count; ++i, x += 16, codes += 16) {
    const float max = SignedMax(x, 16);
    scales[i] = 0;
    std::fill_n(codes, 16, 0);
    if (std::fabs(max) >= kNoMagnitude) scales[i] = Descend(x, max, codes);
  }
}

void SearchIq4(const BlockSpan& blocks, float* scales) {
  for (size_t i = 0; i < blocks.count; ++i) {
    const Block block = BlockAt(blocks, i);
    const float max = SignedMax(block.x, block.n);
    scales[i] = std::fabs(max) < kNoMagnitude ? 0.0f : FitIq4(block, max);
  }
}

void EncodeLinear(const BlockSpan& blocks, const kernels::LinearCoding& coding, uint8_t* codes) {
  for (size_t i = 0; i < blocks.count; ++i) {
    const float divisor = coding.divisors[i];
    const float shift = coding.shifts == nullptr ? 0.0f : coding.shifts[i];
    if (divisor == 0) continue;
    for (size_t j = i * blocks.length; j < (i + 1) * blocks.length; ++j) {
      const int code =
          NearestWithin((blocks.x[j] + shift) / divisor, coding.lowest, coding.highest);
      codes[j] = static_cast<uint8_t>(code - coding.lowest);
    }
  }
}

void EncodeIq4(const BlockSpan& blocks, const float* inverses, uint8_t* codes) {
  for (size_t i = 0; i < blocks.count * blocks.length; ++i) {
    codes[i] = NearestLevel(inverses[i / blocks.length] * blocks.x[i]);
  }
}

void EncodeTruncated(const BlockSpan& blocks, const kernels::TruncatedCoding& coding,
                     uint8_t* codes) {
  for (size_t i = 0; i < blocks.count * blocks.length; ++i) {
    const size_t block = i / blocks.length;
    const float shift = coding.shifts == nullptr ? 0.0f : coding.shifts[block];
    const float inverse = coding.inverses[block];
    // Where there is no inverse the difference may be infinite, and its product no number.
    const float product = inverse == 0 ? 0.0f : (blocks.x[i] - shift) * inverse;
    const float scaled = product + coding.offset;
    codes[i] = static_cast<uint8_t>(std::min(static_cast<int>(scaled), coding.top));
  }
}

void EncodeE2m1(const BlockSpan& blocks, const float* units, uint8_t* codes) {
  for (size_t i = 0; i < blocks.count * blocks.length; ++i) {
    const float unit = units[i / blocks.length];
    uint8_t best = 0;
    for (uint8_t code = 1; code < 16; ++code) {
      const auto error = [&](int c) {
        const float magnitude = kernels::kE2m1Doubled[c % 8];
        return std::fabs((c < 8 ? magnitude : -magnitude) * unit - blocks.x[i]);
      };
      if (error(code) < error(best)) best = code;
    }
    codes[i] = best;
  }
}

void FindSignedMax(const BlockSpan& blocks, float* max) {
  for (size_t i = 0; i < blocks.count; ++i) {
    max[i] = SignedMax(blocks.x + i * blocks.length, blocks.length);
  }
}

void FindRange(const BlockSpan& blocks, float* min, float* max) {
  for (size_t i = 0; i < blocks.count; ++i) {
    const float* x = blocks.x + i * blocks.length;
    min[i] = *std::min_element(x, x + blocks.length);
    max[i] = *std::max_element(x, x + blocks.length);
  }
}

void SumSquares(const float* x, size_t length, size_t count, float* sums) {
  for (size_t i = 0; i < count; ++i, x += length) {
    sums[i] = 0;
    for (size_t j = 0; j < length; ++j) sums[i] += x[j] * x[j];
  }
}

void WeighImportance(const float* x, const float* importance, size_t n, float variance,
                     float* weights) {
  for (size_t i = 0; i < n; ++i) weights[i] = importance[i] * std::sqrt(variance + x[i] * x[i]);
}

void RoundScales(float* scales, size_t n, uint16_t* f16) {
  for (size_t i = 0; i < n; ++i) {
    f16[i] = RoundToF16(scales[i]);
    scales[i] = DecodeF16(f16[i]);
  }
}

void QuantizeQ8_0(const float* x, size_t blocks, std::byte* out) {
  for (size_t i = 0; i < blocks; ++i, x += kGgmlBlock) {
    const float scale = std::fabs(SignedMax(x, kGgmlBlock)) / 127;
    const float inverse = scale != 0 ? 1 / scale : 0.0f;
    BlockQ8_0 block{RoundToF16(scale), {}};
    // Where the scale is too small to have an inverse, C's conversion of what comes of it leaves
    // zeros on x86.
    for (size_t j = 0; j < kGgmlBlock && std::isfinite(inverse); ++j) {
      block.codes[j] = static_cast<int8_t>(std::round(x[j] * inverse));  // ties away from zero
    }
    StoreBlock(block, out, i);
  }
}

}  // namespace tessera::reference
