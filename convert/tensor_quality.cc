#include "convert/tensor_quality.h"

#include <algorithm>
#include <cmath>

#include "quant/quality.h"

namespace tessera {
namespace {

// What is exact, or all zeros.
constexpr double kNoNoise = 200;

double Ratio(double signal, double noise) {
  return std::clamp(Decibels(signal, noise), -kNoNoise, kNoNoise);
}

bool Exceeds(double noise, double predicted, double decibels) {
  return noise > predicted * std::pow(10.0, decibels / 10);
}

// Rounding to the nearest code under a scale makes the gain 1 / (1 + noise / signal), a refitted
// scale 1; chance moves it by a standard error of sqrt(noise / signal / weights).
double UnexplainedGain(const IntQuality& sums) {
  if (sums.quantized <= 0 || sums.signal <= 0) return 0;
  const double gain = sums.cross / sums.quantized;
  const double share = sums.predicted / sums.signal;
  const double chance = 4 * std::sqrt(share / static_cast<double>(sums.weights));
  return std::max(1 / (1 + share) - gain, gain - 1) - chance;
}

}  // namespace

QualityLimits LimitsOf(const SchemeRow& scheme, Search search) {
  const bool absmax = search == Search::kAbsMax;
  const auto& allowance = scheme.allowance;
  const double weight = absmax ? allowance.absmax : allowance.search;
  // Of few weights in a row, and clipped ones among them, the noise scatters.
  return {.weight = weight,
          .place = weight + allowance.place,
          .gain = absmax ? allowance.absmax_gain : kGainAllowance};
}

TensorQuality Judge(const IntQuality& sums, const QualityLimits& limits) {
  TensorQuality quality{.sqnr = Ratio(sums.signal, sums.noise),
                        .predicted_sqnr = Ratio(sums.signal, sums.predicted),
                        .gain = sums.quantized > 0 ? sums.cross / sums.quantized : 1,
                        .worst_row_sqnr = Ratio(sums.worst_row.signal, sums.worst_row.noise),
                        .worst_group_sqnr = Ratio(sums.worst_group.signal, sums.worst_group.noise),
                        .worst_row = sums.worst_row.row,
                        .worst_group_row = sums.worst_group.row,
                        .worst_group = sums.worst_group.group,
                        .zero_groups = sums.zero_groups,
                        .saturated = sums.saturated};
  quality.below = Exceeds(sums.noise, sums.predicted, limits.weight) ||
                  Exceeds(sums.worst_row.noise, sums.worst_row.predicted, limits.place) ||
                  Exceeds(sums.worst_group.noise, sums.worst_group.predicted, limits.place) ||
                  UnexplainedGain(sums) > limits.gain;
  return quality;
}

}  // namespace tessera
