#include "quant/int_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "quant/kernels/round.h"
#include "quant/reference_int.h"

namespace tessera {
namespace {

// `n` finite floats as a type holds them.
void RoundTo(Dtype dtype, float* x, size_t n) {
  std::array<uint16_t, 64> bits;
  if (dtype == Dtype::kF32) return;
  if (dtype == Dtype::kBF16) {
    kernels::F32ToBf16(x, n, bits.data());
    kernels::Bf16ToF32(bits.data(), n, x);
  } else {
    kernels::F32ToF16(x, n, true, bits.data());
    kernels::F16ToF32(bits.data(), n, x);
  }
}

float Rounded(Dtype dtype, float x) {
  RoundTo(dtype, &x, 1);
  return x;
}

float Bf16(float x) { return Rounded(Dtype::kBF16, x); }
float F16(float x) { return Rounded(Dtype::kF16, x); }

// The smallest scale that a search considers: its inverse is finite.
float LeastScale(Dtype dtype) { return dtype == Dtype::kF16 ? 0x1p-24f : kernels::kLeastNormal; }

// 2^n - 1 steps between the outermost codes.
float CodeSpan(const IntFormat& format) {
  return static_cast<float>(format.highest() - format.lowest());
}

IntScale CompressedTensors(const IntFormat& format, float min, float max) {
  constexpr float kEpsilon = 0x1p-7f;  // BF16's
  min = std::min(Bf16(min), 0.0f);
  max = std::max(Bf16(max), 0.0f);
  if (format.symmetric) {
    const float scale = Bf16(std::max(-min, max) / (CodeSpan(format) / 2));
    return {scale == 0 ? kEpsilon : scale, 0, scale == 0 ? kEpsilon : scale};
  }
  const auto lowest = static_cast<float>(format.lowest());
  const auto highest = static_cast<float>(format.highest());
  const float scale = Bf16(Bf16(max - min) / CodeSpan(format));
  // 0 / 0 ends as a zero of 0; an infinite quotient at the upper end of the range.
  float zero = scale == 0 ? (min == 0 ? 0 : highest) : Bf16(lowest - Bf16(min / scale));
  zero = std::nearbyint(std::clamp(zero, lowest, highest));
  const float stored = scale == 0 ? kEpsilon : scale;
  return {stored, static_cast<int>(zero), stored};
}

// Upstream does not widen min and max by zero here: a group of one sign may lose its small values.
IntScale AutoAwq(float min, float max) {
  min = F16(min);
  max = F16(max);
  const float scale = F16(std::max(F16(max - min), F16(1e-5f)) / 15);
  const float zero = std::clamp(-std::nearbyint(F16(min / scale)), 0.0f, 15.0f);
  return {scale, static_cast<int>(zero) - 8, scale};
}

IntScale Gptq(const IntFormat& format, float magnitude) {
  if (magnitude == 0) magnitude = 1;
  const float scale = 2 * magnitude / CodeSpan(format);
  return {std::max(Rounded(format.scale, scale), LeastScale(format.scale)), 0, scale};
}

IntScale OverHighest(const IntFormat& format, float magnitude) {
  const float scale = magnitude / static_cast<float>(format.highest());
  return {scale == 0 ? 1 : scale, 0, scale == 0 ? 1 : scale};
}

class CandidateList {
 public:
  explicit CandidateList(const IntFormat& format) : format_(&format) {}

  void Add(float scale, int zero) {
    const float least = LeastScale(format_->scale);
    scales_[size_] = std::copysign(std::max(std::fabs(scale), least), scale);
    zeros_[size_] = zero;
    ++size_;
  }

  // The best one; `error` is its squared error, and what it must beat.
  bool FindBetter(std::span<const float> values, const IntMath& math, IntScale& best,
                  double& error) {
    RoundTo(format_->scale, scales_.data(), size_);
    std::array<kernels::IntCandidate, kMost> candidates;
    for (size_t i = 0; i < size_; ++i) {
      candidates[i] = {scales_[i], 1 / scales_[i],
                       static_cast<float>(format_->lowest() - zeros_[i]),
                       static_cast<float>(format_->highest() - zeros_[i])};
    }
    std::array<float, kMost> errors;
    math.squared_errors(values.data(), values.size(), candidates.data(), size_, errors.data());
    bool found = false;
    for (size_t i = 0; i < size_; ++i) {
      const double scaled = double{errors[i]} * scales_[i] * scales_[i];
      if (scaled >= error) continue;
      error = scaled;
      best = {scales_[i], zeros_[i], scales_[i]};
      found = true;
    }
    return found;
  }

  float scale(size_t i) const { return scales_[i]; }

 private:
  static constexpr size_t kMost = 48;

  const IntFormat* format_;
  std::array<float, kMost> scales_;
  std::array<int, kMost> zeros_;
  size_t size_ = 0;
};

// Where the largest magnitude lands, in codes: 8-bit codes gain nothing by clipping much.
struct Grid {
  float first, step;
  int count;
};

Grid SymmetricGrid(int bits) { return bits == 4 ? Grid{7, 5.0f / 18, 19} : Grid{127, 0.6f, 11}; }

// Fractions of the whole span of values.
Grid AsymmetricGrid(int bits) {
  return bits == 4 ? Grid{1.05f, -0.45f / 14, 15} : Grid{1.0f, -0.005f, 11};
}

IntScale SearchSymmetric(const IntFormat& format, bool both_signs, const IntScale& start,
                         float magnitude, std::span<const float> values, const IntMath& math) {
  CandidateList candidates(format);
  const Grid grid = SymmetricGrid(format.bits);
  candidates.Add(start.scale, 0);
  for (int i = 0; i < grid.count; ++i) {
    const float scale = magnitude / (grid.first + grid.step * static_cast<float>(i));
    candidates.Add(scale, 0);
    if (both_signs) candidates.Add(-scale, 0);
  }
  IntScale best = start;
  double error = HUGE_VAL;
  candidates.FindBetter(values, math, best, error);
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
  const float whole = std::max((max - min) / CodeSpan(format), LeastScale(format.scale));
  const int zero = ZeroFor(format, min, whole);
  CandidateList coarse(format);
  const Grid grid = AsymmetricGrid(format.bits);
  coarse.Add(start.scale, start.zero);
  for (int i = 0; i < grid.count; ++i) {
    coarse.Add(whole * (grid.first + grid.step * static_cast<float>(i)), zero);
  }
  IntScale best = start;
  double error = HUGE_VAL;
  coarse.FindBetter(values, math, best, error);
  CandidateList fine(format);
  const float nearby = format.bits == 4 ? 0.03f : 0.002f;
  for (const int step : {-1, 0, 1}) {
    const int shifted = std::clamp(best.zero + step, format.lowest(), format.highest());
    for (const float factor : {1 - nearby, 1.0f, 1 + nearby}) {
      if (step != 0 || factor != 1) fine.Add(best.scale * factor, shifted);
    }
  }
  fine.FindBetter(values, math, best, error);
  return best;
}

}  // namespace

const IntMath kKernelMath = {&kernels::FindExtremes, &kernels::SquaredErrors, &kernels::EncodeInts};
const IntMath kReferenceMath = {&reference::FindExtremes, &reference::SquaredErrors,
                                &reference::EncodeInts};

float BeyondRange(const IntFormat& format) {
  return format.scale == Dtype::kF16 ? 65520.0f : 0x1.ffp127f;
}

IntScale AbsMaxScale(const IntFormat& format, float min, float max) {
  const float magnitude = Bf16(std::max(-min, max));
  switch (format.rule) {
    case AbsMaxRule::kCompressedTensors:
      return CompressedTensors(format, min, max);
    case AbsMaxRule::kAutoAwq:
      return AutoAwq(min, max);
    case AbsMaxRule::kGptq:
      return Gptq(format, magnitude);
    case AbsMaxRule::kInt8Row:
    case AbsMaxRule::kInt8Block:
    case AbsMaxRule::kInt4Fp8:
      return OverHighest(format, magnitude);
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
  const auto fitted = static_cast<float>(scale * (1 + error_times_code / code_squared));
  const float refit = Rounded(format.scale, fitted);
  return std::fabs(refit) < LeastScale(format.scale) ? scale : refit;
}

}  // namespace tessera
