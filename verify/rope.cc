#include "verify/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tessera {
namespace {

// Index of the frequency that turns `rotations` times within the original context.
double CorrectionIndex(const RopeConfig& config, double dim, double rotations) {
  return dim *
         std::log(config.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.theta));
}

// 0 where a frequency stays, 1 where it is divided by the factor.
double YarnRamp(const RopeConfig& config, double dim, double index) {
  // dim - 1 rather than the last index, as DeepSeek's code has it.
  const double low = std::max(std::floor(CorrectionIndex(config, dim, config.beta_fast)), 0.0);
  const double high = std::min(std::ceil(CorrectionIndex(config, dim, config.beta_slow)), dim - 1);
  const double width = low == high ? 0.001 : high - low;
  return std::clamp((index - low) / width, 0.0, 1.0);
}

}  // namespace

std::vector<float> RopeFrequencies(const RopeConfig& config, uint32_t dim) {
  std::vector<float> frequencies(dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / dim;
    const double frequency = 1.0 / double{static_cast<float>(std::pow(config.theta, exponent))};
    const double ramp = config.yarn ? YarnRamp(config, dim, static_cast<double>(i)) : 0.0;
    frequencies[i] = static_cast<float>(frequency / config.factor * ramp + frequency * (1 - ramp));
  }
  return frequencies;
}

RopeRounding RoundingOf(Arithmetic arithmetic, const ModelSpec& spec) {
  if (arithmetic == Arithmetic::kF32) return RopeRounding::kNone;
  const bool v2 = spec.family() == Family::kV2 || spec.family() == Family::kV2Lite;
  const bool result_only = v2 || arithmetic == Arithmetic::kFp8;
  return result_only ? RopeRounding::kResult : RopeRounding::kEverywhere;
}

RopeTable::RopeTable(const RopeConfig& config, uint32_t dim, uint64_t positions,
                     RopeRounding rounding)
    : cos_(positions, dim / 2), sin_(positions, dim / 2), rounding_(rounding) {
  const std::vector<float> frequencies = RopeFrequencies(config, dim);
  for (uint64_t position = 0; position < positions; ++position) {
    for (size_t i = 0; i < frequencies.size(); ++i) {
      // The angle is an F32 product too: in double it would drift away from the trained one.
      const float angle = static_cast<float>(position) * frequencies[i];
      cos_.view().row(position)[i] =
          static_cast<float>(std::cos(double{angle}) * config.rotation_factor);
      sin_.view().row(position)[i] =
          static_cast<float>(std::sin(double{angle}) * config.rotation_factor);
    }
  }
  if (rounding == RopeRounding::kEverywhere) {
    RoundToBf16(cos_.values());
    RoundToBf16(sin_.values());
  }
}

void RopeTable::Rotate(uint64_t position, bool interleaved, float* x) const {
  const uint64_t half = cos_.cols();
  const auto cos = cos_.view().Row(position), sin = sin_.view().Row(position);
  const auto product = [this](float p, float q) {
    return rounding_ == RopeRounding::kEverywhere ? RoundedToBf16(p * q) : p * q;
  };
  const auto rounded = [this](float value) {
    return rounding_ == RopeRounding::kNone ? value : RoundedToBf16(value);
  };
  for (uint64_t i = 0; i < half; ++i) {
    float& a = x[interleaved ? 2 * i : i];
    float& b = x[interleaved ? 2 * i + 1 : i + half];
    const float first = rounded(product(a, cos[i]) - product(b, sin[i]));
    const float second = rounded(product(b, cos[i]) + product(a, sin[i]));
    a = first;
    b = second;
  }
}

}  // namespace tessera
