// How far stored weights are from the weights they stand for.
#pragma once

#include <cstdint>
#include <optional>

namespace tessera {

// Columns a group: what the common schemes share one scale between.
inline constexpr uint64_t kQualityGroup = 128;

// 10 log10(signal / noise): infinite without noise, minus infinite without signal.
double Decibels(double signal, double noise);

// Of noise against what was expected: by how many decibels it is above, less what chance explains,
// four standard errors of a sum of squared uniform errors. `expected` and `squares` are the sums of
// the squared errors to expect, and of their squares.
double ExcessDecibels(double noise, double expected, double squares);

// A row, or a group of one, with its part of the sums.
struct QualityPlace {
  uint64_t row = 0, col = 0;
  uint64_t values = 0;
  double signal = 0, noise = 0, expected = 0, expected_squares = 0;

  double sqnr() const { return Decibels(signal, noise); }
  double excess() const { return ExcessDecibels(noise, expected, expected_squares); }
};

// Sums over tiles of one weight. Merged in the order of the tiles they are the same for any number
// of threads, on any CPU. Values that are not finite on either side count, and enter no sum.
struct QualityStats {
  uint64_t values = 0;
  uint64_t differing = 0;  // as numbers: 0 equals -0, NaN equals NaN
  uint64_t nan_want = 0, nan_got = 0;
  uint64_t not_finite = 0;  // NaN or infinite on either side, and not the same on the other
  double signal = 0;        // sum of want^2
  double noise = 0;         // sum of (got - want)^2
  double stored = 0;        // sum of got^2
  double dot = 0;           // sum of want * got
  double bias = 0;          // sum of got - want
  double max_error = 0;     // largest |got - want|
  // Sums of the squared errors to expect, of their squares, and of their products with got^2;
  // without a prediction all are 0.
  bool predicted = false;
  double expected = 0, expected_squares = 0, expected_stored = 0;

  // Lowest SQNR, earliest first.
  std::optional<QualityPlace> worst_row, worst_group;
  // Only with a prediction: the row with the largest excess, and of the groups whose noise is more
  // than kUnexplained times what is expected the one with the lowest SQNR.
  std::optional<QualityPlace> least_expected_row, unexplained_group;

  // `other` covers what follows.
  void Merge(const QualityStats& other);

  double sqnr() const { return Decibels(signal, noise); }
  double predicted_sqnr() const { return Decibels(signal, expected); }
  double excess() const { return ExcessDecibels(noise, expected, expected_squares); }
  double gain() const { return dot / stored; }  // least squares: 1 when the scale is unbiased
  // How far the gain is from what rounding explains, chance allowed for as in the excess. Errors
  // that are uncorrelated with the weights make it 1 / (1 + noise / signal), a refitted scale 1.
  double unexplained_gain() const;
  double cosine() const;
  double mean_error() const { return bias / static_cast<double>(values); }
};

// Rounding moves no weight by more than half a step, and so adds at most three times the noise that
// is expected on average; clipping a little more.
inline constexpr double kUnexplained = 4;

// Rows of a weight, row-major. `error` is what Scheme::ExpectedErrorRows gave, or nullptr.
struct QualityInput {
  const float* want;
  const float* got;
  const float* error;
  uint64_t rows, cols;
  uint64_t first_row = 0, first_col = 0;  // where they are in the weight
};
QualityStats MeasureQuality(const QualityInput& input);

}  // namespace tessera
