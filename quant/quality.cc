#include "quant/quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "quant/kernels/quality_sums.h"

namespace tessera {
namespace {

struct GroupSums {
  double signal = 0, noise = 0, stored = 0, dot = 0, bias = 0, max_error = 0;
  uint64_t differing = 0, nan_want = 0, nan_got = 0, not_finite = 0;
};

template <size_t kWidth>
double AddUp(const std::array<double, kWidth>& sums) {
  if constexpr (kWidth == 1) {
    return sums[0];
  } else {
    std::array<double, kWidth / 2> pairs;
    for (size_t j = 0; j < kWidth / 2; ++j) pairs[j] = sums[j] + sums[j + kWidth / 2];
    return AddUp(pairs);
  }
}

// Pairs of lanes: the shape of the sum is part of the result.
double AddUp(const float (&lane)[kernels::kQualityLanes]) {
  std::array<double, kernels::kQualityLanes> sums;
  std::copy(lane, lane + kernels::kQualityLanes, sums.begin());
  return AddUp(sums);
}

// In F32, which is fast and, over one group, precise enough while its squares are neither lost nor
// infinite; Trustworthy tells.
GroupSums SumInF32(const float* want, const float* got, uint64_t n) {
  kernels::QualityLanes lanes;
  kernels::SumQuality(want, got, n, lanes);
  return {.signal = AddUp(lanes.signal),
          .noise = AddUp(lanes.noise),
          .stored = AddUp(lanes.stored),
          .dot = AddUp(lanes.dot),
          .bias = AddUp(lanes.bias),
          .max_error = *std::ranges::max_element(lanes.largest),
          .differing = static_cast<uint64_t>(AddUp(lanes.differing))};
}

bool Trustworthy(const GroupSums& sums) {
  return sums.signal >= 1e-30 && sums.signal <= 1e30 && sums.stored <= 1e30 &&
         (sums.differing == 0 || sums.max_error >= 1e-15);
}

GroupSums SumInF64(const float* want, const float* got, uint64_t n) {
  GroupSums sums;
  for (uint64_t i = 0; i < n; ++i) {
    const double a = want[i], b = got[i];
    const bool same = a == b || (std::isnan(a) && std::isnan(b));
    sums.differing += same ? 0 : 1;
    sums.nan_want += std::isnan(a) ? 1 : 0;
    sums.nan_got += std::isnan(b) ? 1 : 0;
    if (!std::isfinite(a) || !std::isfinite(b)) {
      sums.not_finite += same ? 0 : 1;
      continue;
    }
    const double e = b - a;
    sums.signal += a * a;
    sums.noise += e * e;
    sums.stored += b * b;
    sums.dot += a * b;
    sums.bias += e;
    sums.max_error = std::max(sums.max_error, std::fabs(e));
  }
  return sums;
}

struct ExpectedSums {
  double sum = 0, squares = 0, stored = 0;
};

ExpectedSums SumExpectedInF64(const float* error, const float* got, uint64_t n) {
  ExpectedSums sums;
  for (uint64_t i = 0; i < n; ++i) {
    const double square = double{error[i]} * error[i], b = got[i];
    sums.sum += square;
    sums.squares += square * square;
    sums.stored += std::isfinite(b) ? square * (b * b) : 0;
  }
  return sums;
}

// In F32 while nothing is lost by that, as above.
ExpectedSums SumExpected(const float* error, const float* got, uint64_t n) {
  kernels::ExpectedLanes lanes;
  kernels::SumExpected(error, got, n, lanes);
  const ExpectedSums sums{AddUp(lanes.sum), AddUp(lanes.squares), AddUp(lanes.stored)};
  const bool trustworthy = sums.squares >= 1e-30 && sums.squares <= 1e30 && sums.stored <= 1e30;
  return trustworthy ? sums : SumExpectedInF64(error, got, n);
}

void KeepLowestSqnr(std::optional<QualityPlace>& kept, const std::optional<QualityPlace>& place) {
  // The order of their SQNRs, without a logarithm each: their noise is not 0.
  const auto ratio = [](const QualityPlace& of) { return of.signal / of.noise; };
  if (place && (!kept || ratio(*place) < ratio(*kept))) kept = place;
}

void KeepLeastExpected(std::optional<QualityPlace>& kept,
                       const std::optional<QualityPlace>& place) {
  if (place && (!kept || place->excess() > kept->excess())) kept = place;
}

void AddGroup(const QualityInput& input, uint64_t at, QualityPlace& group, QualityStats& stats) {
  GroupSums sums = SumInF32(input.want + at, input.got + at, group.values);
  if (!Trustworthy(sums)) sums = SumInF64(input.want + at, input.got + at, group.values);
  group.signal = sums.signal;
  group.noise = sums.noise;
  if (input.error != nullptr) {
    const ExpectedSums expected = SumExpected(input.error + at, input.got + at, group.values);
    group.expected = expected.sum;
    group.expected_squares = expected.squares;
    stats.expected += expected.sum;
    stats.expected_squares += expected.squares;
    stats.expected_stored += expected.stored;
  }
  stats.values += group.values;
  stats.differing += sums.differing;
  stats.nan_want += sums.nan_want;
  stats.nan_got += sums.nan_got;
  stats.not_finite += sums.not_finite;
  stats.signal += sums.signal;
  stats.noise += sums.noise;
  stats.stored += sums.stored;
  stats.dot += sums.dot;
  stats.bias += sums.bias;
  stats.max_error = std::max(stats.max_error, sums.max_error);
  if (group.noise == 0) return;
  KeepLowestSqnr(stats.worst_group, group);
  if (stats.predicted && group.noise > kUnexplained * group.expected) {
    KeepLowestSqnr(stats.unexplained_group, group);
  }
}

}  // namespace

double Decibels(double signal, double noise) {
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

double ExcessDecibels(double noise, double expected, double squares) {
  if (noise == 0) return -std::numeric_limits<double>::infinity();
  if (expected == 0) return std::numeric_limits<double>::infinity();
  // The square of a uniform error has a standard deviation of sqrt(4/5) of its mean.
  const double chance = 4 * std::sqrt(0.8 * squares) / expected;
  return Decibels(noise, expected) - chance * 10 / std::log(10.0);
}

double QualityStats::unexplained_gain() const {
  const double share = (predicted ? expected : noise) / signal;
  const double variance =
      predicted ? expected_stored / (stored * stored) : share / static_cast<double>(values);
  const double chance = 4 * std::sqrt(variance);
  const double low = 1 / (1 + share) - chance, high = 1 + chance;
  return std::max({low - gain(), gain() - high, 0.0});
}

double QualityStats::cosine() const { return dot / std::sqrt(signal * stored); }

void QualityStats::Merge(const QualityStats& other) {
  values += other.values;
  differing += other.differing;
  nan_want += other.nan_want;
  nan_got += other.nan_got;
  not_finite += other.not_finite;
  signal += other.signal;
  noise += other.noise;
  stored += other.stored;
  dot += other.dot;
  bias += other.bias;
  max_error = std::max(max_error, other.max_error);
  predicted = predicted || other.predicted;
  expected += other.expected;
  expected_squares += other.expected_squares;
  expected_stored += other.expected_stored;
  KeepLowestSqnr(worst_row, other.worst_row);
  KeepLowestSqnr(worst_group, other.worst_group);
  KeepLeastExpected(least_expected_row, other.least_expected_row);
  KeepLowestSqnr(unexplained_group, other.unexplained_group);
}

QualityStats MeasureQuality(const QualityInput& input) {
  QualityStats stats;
  stats.predicted = input.error != nullptr;
  for (uint64_t r = 0; r < input.rows; ++r) {
    QualityPlace row{.row = input.first_row + r, .col = input.first_col, .values = input.cols};
    for (uint64_t col = 0; col < input.cols; col += kQualityGroup) {
      QualityPlace group{.row = row.row,
                         .col = input.first_col + col,
                         .values = std::min(kQualityGroup, input.cols - col)};
      AddGroup(input, r * input.cols + col, group, stats);
      row.signal += group.signal;
      row.noise += group.noise;
      row.expected += group.expected;
      row.expected_squares += group.expected_squares;
    }
    if (row.noise == 0) continue;
    KeepLowestSqnr(stats.worst_row, row);
    if (stats.predicted) KeepLeastExpected(stats.least_expected_row, row);
  }
  return stats;
}

}  // namespace tessera
