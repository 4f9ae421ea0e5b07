#include "verify/layer_compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "verify/arithmetic.h"

namespace tessera {
namespace {

constexpr float kNever = std::numeric_limits<float>::infinity();

Matrix<float> Normal(std::mt19937& random, uint64_t rows, uint64_t cols) {
  std::normal_distribution<float> normal;
  Matrix<float> matrix(rows, cols);
  for (float& value : matrix.values()) value = normal(random);
  return matrix;
}

TEST(LayerComparer, ErrorAndCosineAreThoseOfTheWholeStream) {
  Matrix<float> a(2, 2), b(2, 2);
  std::ranges::copy(std::array{3.0f, 0.0f, 0.0f, 4.0f}, a.values().begin());
  std::ranges::copy(std::array{3.0f, 1.0f, 0.0f, 4.0f}, b.values().begin());
  const Threads threads(2);
  const LayerComparison layer =
      LayerComparer(threads).Compare(5, std::as_const(a).view(), std::as_const(b).view());
  EXPECT_EQ(layer.layer, 5u);
  EXPECT_DOUBLE_EQ(layer.error, 1.0 / 5);
  EXPECT_DOUBLE_EQ(layer.cosine, 25 / std::sqrt(25.0 * 26));
  EXPECT_DOUBLE_EQ(layer.worst_error, 1.0 / 3);
  EXPECT_EQ(layer.worst_position, 0u);
}

TEST(LayerComparer, EqualStreamsAreNoDistanceApart) {
  std::mt19937 random(1);
  const Matrix<float> a = Normal(random, 10, 100);
  const Threads threads(2);
  const LayerComparison layer = LayerComparer(threads).Compare(0, a.view(), a.view());
  EXPECT_EQ(layer.error, 0);
  EXPECT_EQ(layer.cosine, 1);
  EXPECT_EQ(layer.worst_error, 0);
}

// The floor is a prediction; here is what it predicts, done.
TEST(LayerComparer, TheNoiseFloorIsWhatRoundingTheStreamTwiceALayerCosts) {
  std::mt19937 random(2);
  const Threads threads(2);
  LayerComparer comparer(threads);
  double squares = 0;
  for (uint32_t layer = 0; layer < 4; ++layer) {
    const Matrix<float> a = Normal(random, 50, 1000);
    double error = 0, length = 0;
    for (const float x : a.values()) {
      const double rounding = double{RoundedToBf16(x)} - double{x};
      error += rounding * rounding;
      length += double{x} * double{x};
    }
    squares += 2 * error;
    const double floor = comparer.Compare(layer, a.view(), a.view()).noise_floor;
    EXPECT_NEAR(floor / std::sqrt(squares / length), 1, 0.02);
  }
}

// Tokens whose experts are the best `top_k` of their scores.
Routing Best(Matrix<float> scores, uint32_t top_k) {
  Routing routing(top_k, scores.rows(), static_cast<uint32_t>(scores.cols()));
  for (uint64_t token = 0; token < scores.rows(); ++token) {
    const auto row = scores.view().Row(token);
    std::vector<uint32_t> order(row.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::sort(order, std::greater(), [&](uint32_t expert) { return row[expert]; });
    std::copy_n(order.begin(), top_k, routing.experts.begin() + static_cast<long>(token * top_k));
    routing.margins[token] = row[order[top_k - 1]] - row[order[top_k]];
    routing.group_margins[token] = kNever;
  }
  routing.scores = std::move(scores);
  return routing;
}

Matrix<float> Copy(const Matrix<float>& matrix) {
  Matrix<float> copy(matrix.rows(), matrix.cols());
  std::ranges::copy(matrix.values(), copy.values().begin());
  return copy;
}

TEST(CompareRouting, CountsSetsAndLoadsWhateverTheOrder) {
  Routing a(2, 3, 4), b(2, 3, 4);
  a.experts = {0, 1, 2, 3, 0, 2};
  b.experts = {1, 0, 2, 1, 3, 1};
  const RoutingComparison got = CompareRouting(a, b);
  EXPECT_EQ(got.common, 3u);
  EXPECT_EQ(got.flips, 2u);
  EXPECT_DOUBLE_EQ(got.overlap(), 0.5);
  EXPECT_DOUBLE_EQ(got.same_sets(), 1.0 / 3);
  EXPECT_EQ(got.load_a, (std::vector<uint32_t>{2, 1, 2, 1}));
  EXPECT_EQ(got.load_b, (std::vector<uint32_t>{1, 3, 1, 1}));
  EXPECT_EQ(got.shared, (std::vector<uint32_t>{1, 1, 1, 0}));
}

TEST(CompareRouting, FlipsThatNoiseMakesAreExplained) {
  std::mt19937 random(3);
  const Matrix<float> scores = Normal(random, 2000, 64);
  Matrix<float> noisy = Copy(scores);
  std::normal_distribution<float> noise(0, 0.02f);
  for (float& score : noisy.values()) score += noise(random);
  const RoutingComparison got = CompareRouting(Best(Copy(scores), 8), Best(Copy(noisy), 8));
  EXPECT_GT(got.flips, 100u);
  EXPECT_GT(got.explained, got.flips - 3);
  EXPECT_NEAR(got.score_change, 0.02 * 0.6745, 0.001);
}

// A router with two rows exchanged moves two scores and no others: no noise explains that.
TEST(CompareRouting, FlipsThatAFaultMakesAreNotExplained) {
  std::mt19937 random(4);
  const Matrix<float> scores = Normal(random, 2000, 64);
  Matrix<float> exchanged = Copy(scores);
  for (uint64_t token = 0; token < exchanged.rows(); ++token) {
    std::swap(exchanged.view().row(token)[5], exchanged.view().row(token)[9]);
  }
  const RoutingComparison got = CompareRouting(Best(Copy(scores), 8), Best(Copy(exchanged), 8));
  EXPECT_GT(got.flips, 100u);
  EXPECT_EQ(got.explained, 0u);
}

// A group that falls behind takes all its experts along, however clearly they had won within it.
TEST(CompareRouting, AGroupsSmallMarginExplainsAFlipToo) {
  std::mt19937 random(5);
  const Matrix<float> scores = Normal(random, 1, 8);
  Matrix<float> noisy = Copy(scores);
  for (float& score : noisy.values()) score += 0.01f;  // explains 0.084
  Routing a = Best(Copy(scores), 2), b = Best(Copy(noisy), 2);
  a.margins = {0.1f};
  b.experts[0] =
      (b.experts[0] + 1) % 8 == b.experts[1] ? (b.experts[0] + 2) % 8 : (b.experts[0] + 1) % 8;
  EXPECT_EQ(CompareRouting(a, b).explained, 0u);
  a.group_margins = {0.005f};
  EXPECT_EQ(CompareRouting(a, b).explained, 1u);
  EXPECT_FLOAT_EQ(static_cast<float>(CompareRouting(a, b).flip_margin), 0.005f);
}

}  // namespace
}  // namespace tessera
