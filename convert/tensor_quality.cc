#include "convert/tensor_quality.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

// What is exact, or all zeros.
constexpr double kNoNoise = 200;

double Decibels(double signal, double noise) {
  if (noise <= 0) return kNoNoise;
  return std::clamp(10 * std::log10(signal / noise), -kNoNoise, kNoNoise);
}

}  // namespace

TensorQuality Judge(const IntQuality& sums, double allowance) {
  TensorQuality quality{
      .sqnr = Decibels(sums.signal, sums.noise),
      .predicted_sqnr = Decibels(sums.signal, sums.predicted),
      .gain = sums.quantized > 0 ? sums.cross / sums.quantized : 1,
      .worst_row_sqnr = Decibels(sums.worst_row.signal, sums.worst_row.noise),
      .worst_group_sqnr = Decibels(sums.worst_group.signal, sums.worst_group.noise),
      .worst_row = sums.worst_row.row,
      .worst_group_row = sums.worst_group.row,
      .worst_group = sums.worst_group.group,
      .zero_groups = sums.zero_groups,
      .saturated = sums.saturated};
  quality.below = quality.sqnr < quality.predicted_sqnr - allowance;
  return quality;
}

}  // namespace tessera
