// What searching for scales is worth.
#include "quant/int_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "quant/reference.h"
#include "quant/scheme_int.h"

namespace tessera {
namespace {

constexpr uint64_t kRows = 128, kCols = 2048;

// Weights as they come out of block FP8.
std::vector<float> ThroughFp8(const std::function<float(std::mt19937&)>& draw) {
  std::mt19937 random(41);
  std::vector<float> rows(kRows * kCols);
  for (float& x : rows) x = 0.02f * draw(random);
  const auto fp8 = MakeFp8BlockScheme({});
  std::vector<std::byte> codes(rows.size()), scales(kCols / 128 * sizeof(float));
  ValueStats stats;
  fp8->EncodeRows(rows.data(), kRows, kCols, {0, kRows},
                  std::vector<std::span<std::byte>>{codes, scales}, stats);
  fp8->DecodeRows(std::vector<std::span<const std::byte>>{codes, scales}, kRows, kCols, {0, kRows},
                  rows.data(), stats);
  return rows;
}

double Decibels(const IntScheme& scheme, const std::vector<float>& rows) {
  std::vector<std::vector<std::byte>> parts;
  for (size_t i = 0; i < scheme.Parts(kRows, kCols).size(); ++i) {
    parts.emplace_back(scheme.PartBytes(i, kRows, kCols, {0, kRows}).size());
  }
  ValueStats stats;
  scheme.EncodeRows(rows.data(), kRows, kCols, {0, kRows},
                    std::vector<std::span<std::byte>>(parts.begin(), parts.end()), stats);
  return 10 * std::log10(stats.quality.signal / stats.quality.noise);
}

// A gain that a search must have over upstream's absmax in the same format.
void ExpectGains(const std::function<float(std::mt19937&)>& draw, double mse, double mse_signed) {
  const auto rows = ThroughFp8(draw);
  const auto of = [&](Search search) {
    return Decibels(*MakeCtPackedScheme({.search = search}), rows);
  };
  const double absmax = of(Search::kAbsMax);
  EXPECT_GE(of(Search::kMse) - absmax, mse);
  EXPECT_GE(of(Search::kMseSigned) - absmax, mse_signed);
}

TEST(IntSearch, FourBitsGainOnNormalWeights) {
  std::normal_distribution<float> normal;
  ExpectGains([&](std::mt19937& random) { return normal(random); }, 0.8, 1.15);
}

TEST(IntSearch, FourBitsGainOnLaplaceWeights) {
  std::exponential_distribution<float> exponential;
  ExpectGains(
      [&](std::mt19937& random) {
        const float x = exponential(random);
        return random() % 2 == 0 ? x : -x;
      },
      0.75, 1.15);
}

TEST(IntSearch, FourBitsGainOnStudentWeights) {
  std::student_t_distribution<float> t5(5), t3(3);
  ExpectGains([&](std::mt19937& random) { return t5(random); }, 0.75, 1.2);
  ExpectGains([&](std::mt19937& random) { return t3(random); }, 0.65, 1.0);
}

TEST(IntSearch, AsymmetricCodesGainToo) {
  std::student_t_distribution<float> t5(5);
  const auto rows = ThroughFp8([&](std::mt19937& random) { return t5(random); });
  const auto of = [&](Search search) {
    return Decibels(*MakeCtPackedScheme({.symmetric = false, .search = search}), rows);
  };
  EXPECT_GE(of(Search::kMse) - of(Search::kAbsMax), 0.4);
}

// 7.5 steps to the largest magnitude, in BF16.
TEST(IntSearch, AbsMaxScalesFollowTheirRules) {
  const IntFormat four{};
  EXPECT_EQ(AbsMaxScale(four, -7.5f, 3).scale, 1.0f);
  EXPECT_EQ(AbsMaxScale(four, 0, 0).scale, 0x1p-7f);
  IntFormat asymmetric{.symmetric = false};
  EXPECT_EQ(AbsMaxScale(asymmetric, -5, 10).scale, 1.0f);
  EXPECT_EQ(AbsMaxScale(asymmetric, -5, 10).zero, -3);
  const IntFormat gptq{.scale = Dtype::kF16, .rule = AbsMaxRule::kGptq};
  EXPECT_EQ(AbsMaxScale(gptq, 0, 0).divisor, 2.0f / 15);
  EXPECT_EQ(AbsMaxScale(gptq, 0, 0).scale, 0x1.11p-3f);
  const IntFormat row{.bits = 8, .scale = Dtype::kF32, .rule = AbsMaxRule::kInt8Row};
  EXPECT_EQ(AbsMaxScale(row, -254, 3).scale, 2.0f);
}

// Through AutoAWQ's rule, whose scale is (max - min) / 15 of BF16s, rounded to F16 three times.
TEST(IntSearch, ScalesAreRoundedToF16AsTheReferenceDoes) {
  const IntFormat awq{.symmetric = false, .scale = Dtype::kF16, .rule = AbsMaxRule::kAutoAwq};
  const auto f16 = [](float x) { return reference::DecodeF16(reference::RoundToF16(x)); };
  std::mt19937 random(42);
  for (int i = 0; i < 100000; ++i) {
    const float max = std::ldexp(1 + static_cast<float>(random()) * 0x1p-32f,
                                 static_cast<int>(random() % 40) - 25);
    const float held = reference::DecodeBf16(reference::RoundToBf16(max));
    const float want = f16(std::max(f16(held), f16(1e-5f)) / 15);
    ASSERT_EQ(AbsMaxScale(awq, 0, max).scale, want) << std::hexfloat << max;
  }
}

}  // namespace
}  // namespace tessera
