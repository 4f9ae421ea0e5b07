#include "quant/quality.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/kernels/quality_sums.h"

namespace tessera {
namespace {

struct GroupSums {
  kernels::QualitySums sums = {};
  uint64_t nan_want = 0, nan_got = 0, not_finite = 0;
};

// Over one group sums in F32 are precise enough while squares are neither lost nor infinite.
bool Trustworthy(const kernels::QualitySums& sums) {
  return sums.signal >= 1e-30 && sums.signal <= 1e30 && sums.stored <= 1e30 &&
         (sums.differing == 0 || sums.max_error >= 1e-15);
}

bool TrustworthyExpectation(const kernels::QualitySums& sums) {
  return sums.expected_squares >= 1e-30 && sums.expected_squares <= 1e30 &&
         sums.expected_stored <= 1e30;
}

void SumInF64(const float* want, const float* got, uint64_t n, GroupSums& group) {
  kernels::QualitySums sums = {.expected = group.sums.expected,
                               .expected_squares = group.sums.expected_squares,
                               .expected_stored = group.sums.expected_stored};
  for (uint64_t i = 0; i < n; ++i) {
    const double a = want[i], b = got[i];
    const bool same = a == b || (std::isnan(a) && std::isnan(b));
    sums.differing += same ? 0 : 1;
    group.nan_want += std::isnan(a) ? 1 : 0;
    group.nan_got += std::isnan(b) ? 1 : 0;
    if (!std::isfinite(a) || !std::isfinite(b)) {
      group.not_finite += same ? 0 : 1;
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
  group.sums = sums;
}

void SumExpectedInF64(const float* error, const float* got, uint64_t n,
                      kernels::QualitySums& sums) {
  sums.expected = sums.expected_squares = sums.expected_stored = 0;
  for (uint64_t i = 0; i < n; ++i) {
    const double square = double{error[i]} * error[i], b = got[i];
    sums.expected += square;
    sums.expected_squares += square * square;
    sums.expected_stored += std::isfinite(b) ? square * (b * b) : 0;
  }
}

GroupSums Sum(const float* want, const float* got, const float* error, uint64_t n) {
  GroupSums group{.sums = kernels::SumQuality(want, got, error, n)};
  if (error != nullptr && !TrustworthyExpectation(group.sums)) {
    SumExpectedInF64(error, got, n, group.sums);
  }
  if (!Trustworthy(group.sums)) SumInF64(want, got, n, group);
  return group;
}

void KeepLowestSqnr(std::optional<QualityPlace>& kept, const std::optional<QualityPlace>& place) {
  // The order of their SQNRs without a logarithm or quotient each: their noise is not 0.
  if (place && (!kept || place->signal * kept->noise < kept->signal * place->noise)) kept = place;
}

void KeepLeastExpected(std::optional<QualityPlace>& kept,
                       const std::optional<QualityPlace>& place) {
  if (place && (!kept || place->excess() > kept->excess())) kept = place;
}

void AddGroup(const QualityInput& input, uint64_t at, QualityPlace& group, QualityStats& stats) {
  const float* error = input.error == nullptr ? nullptr : input.error + at;
  const GroupSums counts = Sum(input.want + at, input.got + at, error, group.values);
  const kernels::QualitySums& sums = counts.sums;
  group.signal = sums.signal;
  group.noise = sums.noise;
  group.expected = sums.expected;
  group.expected_squares = sums.expected_squares;
  stats.values += group.values;
  stats.differing += sums.differing;
  stats.nan_want += counts.nan_want;
  stats.nan_got += counts.nan_got;
  stats.not_finite += counts.not_finite;
  stats.signal += sums.signal;
  stats.noise += sums.noise;
  stats.stored += sums.stored;
  stats.dot += sums.dot;
  stats.bias += sums.bias;
  stats.max_error = std::max(stats.max_error, sums.max_error);
  stats.expected += sums.expected;
  stats.expected_squares += sums.expected_squares;
  stats.expected_stored += sums.expected_stored;
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
