#include "quant/int_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "formats/result.h"
#include "quant/reference_int.h"

namespace tessera {
namespace {

constexpr size_t kMostCandidates = 16;

// Roundings of finite floats in a few nanoseconds, which count when there is one for every group.
float Bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u);
}

// Adding an anchor whose last place is the wanted one rounds. Clips to +-65504.
float F16(float x) {
  const float magnitude = std::min(std::fabs(x), 65504.0f);
  const uint32_t exponent = std::bit_cast<uint32_t>(magnitude) & 0x7F800000u;
  const float anchor = std::bit_cast<float>(std::max(exponent, (127u - 14) << 23) + (13u << 23));
  return std::copysign(magnitude + anchor - anchor, x);
}

// As a type holds it.
float Rounded(Dtype dtype, float x) {
  if (dtype == Dtype::kBF16) return Bf16(x);
  return dtype == Dtype::kF16 ? F16(x) : x;
}

// Searched scales as they may be stored.
float Searched(const IntFormat& format, float scale) {
  return Rounded(format.scale, format.bf16_scales ? Bf16(scale) : scale);
}

// The smallest scale that a search considers: its inverse is finite.
float LeastScale(Dtype dtype) { return dtype == Dtype::kF16 ? 0x1p-24f : kernels::kLeastNormal; }

// 2^n - 1 steps between the outermost codes.
float CodeSpan(const IntFormat& format) {
  return static_cast<float>(format.highest() - format.lowest());
}

// `scale` as it is stored, never 0.
float Stored(const IntFormat& format, float scale) {
  const float rounded = Rounded(format.scale, scale);
  return rounded == 0 ? LeastScale(format.scale) : rounded;
}

IntScale CompressedTensors(const IntFormat& format, float min, float max) {
  constexpr float kEpsilon = 0x1p-7f;  // BF16's
  min = std::min(Bf16(min), 0.0f);
  max = std::max(Bf16(max), 0.0f);
  const auto chosen = [&](float scale, float zero) -> IntScale {
    const float stored = Stored(format, scale == 0 ? kEpsilon : scale);
    return {stored, static_cast<int>(zero), stored};
  };
  if (format.symmetric) return chosen(Bf16(std::max(-min, max) / (CodeSpan(format) / 2)), 0);
  const auto lowest = static_cast<float>(format.lowest());
  const auto highest = static_cast<float>(format.highest());
  const float scale = Bf16(Bf16(max - min) / CodeSpan(format));
  // 0 / 0 ends as a zero of 0; an infinite quotient at the upper end of the range.
  const float zero = scale == 0 ? (min == 0 ? 0 : highest) : Bf16(lowest - Bf16(min / scale));
  return chosen(scale, std::nearbyint(std::clamp(zero, lowest, highest)));
}

// Upstream does not widen min and max by zero here: a group of one sign may lose its small values.
IntScale AutoAwq(float min, float max) {
  min = F16(Bf16(min));
  max = F16(Bf16(max));
  const float scale = F16(std::max(F16(max - min), F16(1e-5f)) / 15);
  const float zero = std::clamp(-std::nearbyint(F16(min / scale)), 0.0f, 15.0f);
  return {scale, static_cast<int>(zero) - 8, scale};
}

IntScale Gptq(const IntFormat& format, float magnitude) {
  if (magnitude == 0) magnitude = 1;
  const float scale = 2 * magnitude / CodeSpan(format);
  return {Stored(format, scale), 0, scale};
}

IntScale OverHighest(const IntFormat& format, float magnitude) {
  const float scale = magnitude / static_cast<float>(format.highest());
  return {scale == 0 ? 1 : scale, 0, scale == 0 ? 1 : scale};
}

// Scales, each with a zero, to choose from.
class CandidateList {
 public:
  explicit CandidateList(const IntFormat& format) : format_(&format) {}

  void Add(float scale, int zero) {
    TESSERA_CHECK(size_ < kMostCandidates);
    scales_[size_] = scale;
    zeros_[size_] = zero;
    ++size_;
  }

  // The candidate of least squared error, if below `error`; then that becomes `best` and `error`.
  void FindBetter(std::span<const float> values, const IntMath& math, IntScale& best,
                  double& error) {
    const float least = LeastScale(format_->scale);
    for (size_t i = 0; i < size_; ++i) {
      const float magnitude = std::max(std::fabs(scales_[i]), least);
      scales_[i] = Searched(*format_, std::copysign(magnitude, scales_[i]));
    }
    std::array<kernels::IntCandidate, kMostCandidates> candidates{};
    for (size_t i = 0; i < size_; ++i) {
      candidates[i] = {scales_[i], 1 / scales_[i],
                       static_cast<float>(format_->lowest() - zeros_[i]),
                       static_cast<float>(format_->highest() - zeros_[i])};
    }
    std::array<float, kMostCandidates> errors;
    math.squared_errors(values.data(), values.size(), candidates.data(), size_, errors.data());
    for (size_t i = 0; i < size_; ++i) {
      const double scaled = double{errors[i]} * scales_[i] * scales_[i];
      if (scaled >= error) continue;
      error = scaled;
      best = {scales_[i], zeros_[i], scales_[i]};
    }
  }

 private:
  const IntFormat* format_;
  std::array<float, kMostCandidates> scales_;
  std::array<int, kMostCandidates> zeros_;
  size_t size_ = 0;
};

// Coarse steps, then finer ones around the best of them. 8-bit codes gain nothing by clipping much.
struct Grid {
  float first, step;
  int count;
  std::array<float, 2> nearby;  // fractions of the scale
};

// Steps of the code that the largest magnitude lands on.
Grid SymmetricGrid(int bits) {
  return bits == 4 ? Grid{7, 5.0f / 6, 7, {0.022f, 0.044f}} : Grid{127, 1, 7, {0.002f, 0.004f}};
}

// Steps of the part of max - min that codes span.
Grid AsymmetricGrid(int bits) {
  return bits == 4 ? Grid{1.05f, -0.45f / 10, 11, {0.02f, 0.03f}}
                   : Grid{1, -0.008f, 7, {0.002f, 0.004f}};
}

IntScale SearchSymmetric(const IntFormat& format, bool both_signs, const IntScale& start,
                         float magnitude, std::span<const float> values, const IntMath& math) {
  const Grid grid = SymmetricGrid(format.bits);
  CandidateList coarse(format);
  coarse.Add(start.scale, 0);
  for (int i = 0; i < grid.count; ++i) {
    const float scale = magnitude / (grid.first + grid.step * static_cast<float>(i));
    coarse.Add(scale, 0);
    if (both_signs) coarse.Add(-scale, 0);
  }
  IntScale best = start;
  double error = HUGE_VAL;
  coarse.FindBetter(values, math, best, error);
  CandidateList fine(format);
  for (const float nearby : grid.nearby) {
    fine.Add(best.scale * (1 - nearby), 0);
    fine.Add(best.scale * (1 + nearby), 0);
  }
  fine.FindBetter(values, math, best, error);
  return best;
}

int ZeroFor(const IntFormat& format, float min, float scale) {
  const auto lowest = static_cast<float>(format.lowest());
  const auto highest = static_cast<float>(format.highest());
  return static_cast<int>(std::clamp(std::nearbyint(lowest - min / scale), lowest, highest));
}

// First the scale under the zero that min and max ask for, then both, nearby.
IntScale SearchAsymmetric(const IntFormat& format, const IntScale& start, float min, float max,
                          std::span<const float> values, const IntMath& math) {
  const Grid grid = AsymmetricGrid(format.bits);
  const float whole = std::max((max - min) / CodeSpan(format), LeastScale(format.scale));
  const int zero = ZeroFor(format, min, whole);
  CandidateList coarse(format);
  coarse.Add(start.scale, start.zero);
  for (int i = 0; i < grid.count; ++i) {
    coarse.Add(whole * (grid.first + grid.step * static_cast<float>(i)), zero);
  }
  IntScale best = start;
  double error = HUGE_VAL;
  coarse.FindBetter(values, math, best, error);
  CandidateList fine(format);
  for (const int step : {-1, 0, 1}) {
    const int shifted = std::clamp(best.zero + step, format.lowest(), format.highest());
    const float nearby = grid.nearby[step == 0 ? 0 : 1];
    fine.Add(best.scale * (1 - nearby), shifted);
    fine.Add(best.scale * (1 + nearby), shifted);
    if (step != 0) fine.Add(best.scale, shifted);
  }
  fine.FindBetter(values, math, best, error);
  return best;
}

}  // namespace

const IntMath kKernelMath = {&kernels::FindExtremes, &kernels::SquaredErrors, &kernels::EncodeInts};
const IntMath kReferenceMath = {&reference::FindExtremes, &reference::SquaredErrors,
                                &reference::EncodeInts};

float BeyondRange(const IntFormat& format) {
  // Of asymmetric ones max - min has to be a number too: BF16s that round to at most 32640 in F16.
  if (format.scale == Dtype::kF16) return format.symmetric ? 65520.0f : 32704.0f;
  return format.symmetric ? 0x1.ffp127f : 0x1.ffp126f;
}

IntScale AbsMaxScale(const IntFormat& format, float min, float max) {
  const auto magnitude = [&] { return Bf16(std::max(-min, max)); };
  switch (format.rule) {
    case AbsMaxRule::kCompressedTensors:
      return CompressedTensors(format, min, max);
    case AbsMaxRule::kAutoAwq:
      return AutoAwq(min, max);
    case AbsMaxRule::kGptq:
      return Gptq(format, magnitude());
    case AbsMaxRule::kInt8Row:
    case AbsMaxRule::kInt8Block:
    case AbsMaxRule::kInt4Fp8:
      return OverHighest(format, magnitude());
  }
  return {};
}

IntScale SearchScale(const IntFormat& format, bool both_signs, float min, float max,
                     std::span<const float> values, const IntMath& math) {
  const IntScale start = AbsMaxScale(format, min, max);
  if (format.symmetric) {
    return SearchSymmetric(format, both_signs, start, std::max(-min, max), values, math);
  }
  return SearchAsymmetric(format, start, std::min(min, 0.0f), std::max(max, 0.0f), values, math);
}

float RefitScale(const IntFormat& format, float scale, double error_times_code,
                 double code_squared) {
  if (code_squared == 0) return scale;
  auto refit = static_cast<float>(scale * (1 + error_times_code / code_squared));
  refit = Searched(format, refit);
  return std::fabs(refit) < LeastScale(format.scale) ? scale : refit;
}

}  // namespace tessera
