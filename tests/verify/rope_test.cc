#include "verify/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/family_configs.h"

namespace tessera {
namespace {

RopeConfig Yarn(double theta, double factor, double beta_fast, double beta_slow) {
  RopeConfig config;
  config.theta = theta;
  config.yarn = true;
  config.factor = factor;
  config.beta_fast = beta_fast;
  config.beta_slow = beta_slow;
  config.original_max_position_embeddings = 4096;
  return config;
}

double Plain(double theta, size_t i) { return std::pow(theta, -2.0 * static_cast<double>(i) / 64); }

// V3 and V2: the ramp runs from the 10th to the 23rd of 32 frequencies.
TEST(Rope, V3StretchesFrequenciesFromTheTenthOn) {
  const std::vector<float> f = RopeFrequencies(Yarn(10000, 40, 32, 1), 64);
  ASSERT_EQ(f.size(), 32u);
  for (size_t i = 0; i < f.size(); ++i) {
    const double ramp = i <= 10 ? 0.0 : i >= 23 ? 1.0 : (static_cast<double>(i) - 10) / 13;
    const double expected = Plain(10000, i) * (ramp / 40 + 1 - ramp);
    EXPECT_NEAR(double{f[i]} / expected, 1, 1e-6) << i;
  }
}

// K2: both betas are 1, a step between the 19th and the 20th.
TEST(Rope, K2StretchesInOneStep) {
  const std::vector<float> f = RopeFrequencies(Yarn(50000, 32, 1, 1), 64);
  for (size_t i = 0; i < f.size(); ++i) {
    EXPECT_NEAR(double{f[i]} / (Plain(50000, i) / (i >= 20 ? 32 : 1)), 1, 1e-6) << i;
  }
}

TEST(Rope, RotatesEitherNeighboursOrHalvesByTheSameAngles) {
  RopeConfig config;
  config.theta = 100;
  const RopeTable table(config, 4, 6, RopeRounding::kNone);
  const double angles[] = {5.0, 5.0 / 10};
  float pairs[] = {1, 2, 3, 4}, halves[] = {1, 3, 2, 4};
  table.Rotate(5, true, pairs);
  table.Rotate(5, false, halves);
  for (size_t i = 0; i < 2; ++i) {
    const double a = i == 0 ? 1 : 3, b = i == 0 ? 2 : 4;
    const double first = a * std::cos(angles[i]) - b * std::sin(angles[i]);
    const double second = a * std::sin(angles[i]) + b * std::cos(angles[i]);
    EXPECT_NEAR(pairs[2 * i], first, 1e-6);
    EXPECT_NEAR(pairs[2 * i + 1], second, 1e-6);
    EXPECT_EQ(halves[i], pairs[2 * i]);
    EXPECT_EQ(halves[i + 2], pairs[2 * i + 1]);
  }
}

// transformers casts everything to BF16, but rotates V2 in F32, as DeepSeek's demo rotates all.
TEST(Rope, RoundsWhereTheModelledCodeDoes) {
  const ModelSpec v2 = SpecOf(kV2Config), v3 = SpecOf(kV3Config);
  EXPECT_EQ(RoundingOf(Arithmetic::kF32, v3), RopeRounding::kNone);
  EXPECT_EQ(RoundingOf(Arithmetic::kFp8, v3), RopeRounding::kResult);
  EXPECT_EQ(RoundingOf(Arithmetic::kBf16, v3), RopeRounding::kEverywhere);
  EXPECT_EQ(RoundingOf(Arithmetic::kBf16, v2), RopeRounding::kResult);
}

}  // namespace
}  // namespace tessera
