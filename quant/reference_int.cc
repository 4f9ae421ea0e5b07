#include "quant/reference_int.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "quant/reference.h"

namespace tessera::reference {
namespace {

using kernels::IntArithmetic;
using kernels::kSumLanes;

// One sum of many floats, in the order that kernels/int_quantize.h states.
class LaneSum {
 public:
  void Add(size_t i, float x) { lanes_[i % kSumLanes] += x; }

  float Total() const {
    auto lanes = lanes_;
    for (size_t half = kSumLanes / 2; half > 0; half /= 2) {
      for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    }
    return lanes[0];
  }

 private:
  std::array<float, kSumLanes> lanes_{};
};

float ToBf16(float x) { return DecodeBf16(RoundToBf16(x)); }
float ToF16(float x) { return DecodeF16(RoundToF16(x)); }

float NearestWithin(float x, float lowest, float highest) {
  return std::nearbyint(std::clamp(x, lowest, highest));
}

// The integer that stands for x, zero subtracted.
float CodeOf(float x, const kernels::IntCoding& coding) {
  const auto zero = static_cast<float>(coding.zero);
  const auto lowest = static_cast<float>(coding.lowest);
  const auto highest = static_cast<float>(coding.highest);
  switch (coding.arithmetic) {
    case IntArithmetic::kInverse:
      return NearestWithin(x * coding.inverse, lowest - zero, highest - zero);
    case IntArithmetic::kF32:
      return NearestWithin(ToBf16(x) / coding.divisor, lowest - zero, highest - zero);
    case IntArithmetic::kF32Truncate:
      return std::trunc(std::clamp(ToBf16(x) / coding.divisor, lowest - zero, highest - zero));
    case IntArithmetic::kBf16: {
      const float quotient = ToBf16(ToBf16(x) / coding.divisor);
      return NearestWithin(ToBf16(quotient + zero), lowest, highest) - zero;
    }
    case IntArithmetic::kF16:
      return NearestWithin(ToF16(ToF16(ToBf16(x)) / coding.divisor), lowest - zero, highest - zero);
  }
  return 0;
}

kernels::IntExtremes ExtremesOf(const float* x, size_t n) {
  kernels::IntExtremes found{x[0], x[0], 0};
  for (size_t i = 0; i < n; ++i) {
    found.min = std::min(found.min, x[i]);
    found.max = std::max(found.max, x[i]);
    found.magnitude_bits =
        std::max(found.magnitude_bits, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFu);
  }
  return found;
}

void EncodeGroup(const float* x, size_t n, const kernels::IntCoding& coding, int8_t* codes,
                 kernels::IntSums& sums) {
  LaneSum error_squared, error_times_code, code_squared;
  sums = {};
  const float below = static_cast<float>(coding.lowest - coding.zero) - 0.5f;
  const float above = static_cast<float>(coding.highest - coding.zero) + 0.5f;
  for (size_t i = 0; i < n; ++i) {
    const float code = CodeOf(x[i], coding);
    codes[i] = static_cast<int8_t>(static_cast<int>(code) + coding.zero);
    const float y = std::isfinite(coding.inverse) ? x[i] * coding.inverse : x[i] / coding.divisor;
    const float error = y - code;
    error_squared.Add(i, error * error);
    error_times_code.Add(i, error * code);
    code_squared.Add(i, code * code);
    sums.saturated += y < below || y > above;
  }
  sums.error_squared = error_squared.Total();
  sums.error_times_code = error_times_code.Total();
  sums.code_squared = code_squared.Total();
}

// op(first column, columns, index) of every group.
void ForEachGroup(const kernels::IntRow& row, auto op) {
  for (size_t begin = 0, group = 0; begin < row.cols; begin += row.group_cols, ++group) {
    op(begin, std::min(row.group_cols, row.cols - begin), group);
  }
}

}  // namespace

void FindExtremes(const kernels::IntRow& row, kernels::IntExtremes* extremes) {
  ForEachGroup(row, [&](size_t begin, size_t n, size_t group) {
    extremes[group] = ExtremesOf(row.x + begin, n);
  });
}

void SquaredErrors(const float* x, size_t n, const kernels::IntCandidate* candidates, size_t count,
                   float* errors) {
  for (size_t k = 0; k < count; ++k) {
    const kernels::IntCandidate& candidate = candidates[k];
    LaneSum sum;
    for (size_t i = 0; i < n; ++i) {
      const float y = x[i] * candidate.inverse;
      const float error = y - NearestWithin(y, candidate.lowest, candidate.highest);
      sum.Add(i, error * error);
    }
    errors[k] = sum.Total();
  }
}

void EncodeInts(const kernels::IntRow& row, const kernels::IntCoding* codings, int8_t* codes,
                kernels::IntSums* sums) {
  ForEachGroup(row, [&](size_t begin, size_t n, size_t group) {
    EncodeGroup(row.x + begin, n, codings[group], codes + begin, sums[group]);
  });
}

void IntsToF32(const int8_t* codes, size_t n, int zero, float scale, float* out) {
  for (size_t i = 0; i < n; ++i) {
    out[i] = Scaled(static_cast<float>(codes[i] - zero), scale);
  }
}

}  // namespace tessera::reference
