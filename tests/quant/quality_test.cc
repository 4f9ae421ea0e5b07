#include "quant/quality.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "quant/kernels/quality_sums.h"
#include "quant/kernels/target.h"
#include "quant/scheme.h"

namespace tessera {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> Normal(size_t n, unsigned seed, float width = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, width);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

QualityStats Measure(const std::vector<float>& want, const std::vector<float>& got, uint64_t cols,
                     const std::vector<float>* error = nullptr) {
  return MeasureQuality({.want = want.data(),
                         .got = got.data(),
                         .error = error == nullptr ? nullptr : error->data(),
                         .rows = want.size() / cols,
                         .cols = cols});
}

// Encodes and decodes with a scheme, and takes its word on the error to expect.
QualityStats RoundTrip(const Scheme& scheme, const std::vector<float>& want, uint64_t cols) {
  const uint64_t rows = want.size() / cols;
  const RowRange all{0, rows};
  std::vector<std::vector<std::byte>> bytes;
  std::vector<std::span<std::byte>> parts;
  std::vector<std::span<const std::byte>> const_parts;
  const size_t count = scheme.Parts(rows, cols).size();
  for (size_t i = 0; i < count; ++i) {
    bytes.emplace_back(scheme.PartBytes(i, rows, cols, all).size());
  }
  for (auto& part : bytes) {
    parts.emplace_back(part);
    const_parts.emplace_back(part);
  }
  ValueStats unused;
  scheme.EncodeRows(want.data(), rows, cols, all, parts, unused);
  std::vector<float> got(want.size()), error(want.size());
  scheme.DecodeRows(const_parts, rows, cols, all, got.data(), unused);
  EXPECT_TRUE(scheme.ExpectedErrorRows(const_parts, rows, cols, all, error.data()));
  return Measure(want, got, cols, &error);
}

TEST(Quality, SumsEqualThoseOfAPlainDoubleLoop) {
  constexpr uint64_t kRows = 3, kCols = 333;  // ragged groups, ragged lanes
  const auto want = Normal(kRows * kCols, 1);
  auto got = want;
  for (size_t i = 0; i < got.size(); i += 2) got[i] += 0.01f * static_cast<float>(i % 7);
  const auto error = Normal(want.size(), 2, 0.01f);
  const QualityStats stats = Measure(want, got, kCols, &error);
  QualityStats sums;
  for (size_t i = 0; i < want.size(); ++i) {
    const double a = want[i], b = got[i], e = b - a, x = error[i];
    sums.signal += a * a;
    sums.stored += b * b;
    sums.noise += e * e;
    sums.dot += a * b;
    sums.bias += e;
    sums.max_error = std::max(sums.max_error, std::fabs(e));
    sums.differing += a != b;
    sums.expected += x * x;
    sums.expected_squares += x * x * x * x;
    sums.expected_stored += x * x * b * b;
  }
  EXPECT_EQ(stats.values, want.size());
  EXPECT_EQ(stats.differing, sums.differing);
  EXPECT_NEAR(stats.signal, sums.signal, 1e-5 * sums.signal);
  EXPECT_NEAR(stats.stored, sums.stored, 1e-5 * sums.stored);
  EXPECT_NEAR(stats.noise, sums.noise, 1e-5 * sums.noise);
  EXPECT_NEAR(stats.dot, sums.dot, 1e-5 * sums.signal);
  EXPECT_NEAR(stats.bias, sums.bias, 1e-5 * sums.bias);
  EXPECT_NEAR(stats.max_error, sums.max_error, 1e-6);
  EXPECT_NEAR(stats.expected, sums.expected, 1e-5 * sums.expected);
  EXPECT_NEAR(stats.expected_squares, sums.expected_squares, 1e-5 * sums.expected_squares);
  EXPECT_NEAR(stats.expected_stored, sums.expected_stored, 1e-5 * sums.expected_stored);
}

TEST(Quality, EveryTargetGivesTheSameBitsForEveryTail) {
  const auto want = Normal(128, 3), got = Normal(128, 4), errors = Normal(128, 6);
  for (size_t n = 0; n <= want.size(); ++n) {
    for (const float* error : {static_cast<const float*>(nullptr), errors.data()}) {
      std::optional<kernels::QualitySums> first;
      for (const SimdTarget target : SupportedTargets()) {
        const ScopedTarget use(target);
        const auto sums = kernels::SumQuality(want.data(), got.data(), error, n);
        if (!first) first = sums;
        ASSERT_EQ(std::memcmp(&sums, &*first, sizeof sums), 0) << target.name() << " n=" << n;
      }
    }
  }
}

// Squares of these are lost or infinite in F32.
TEST(Quality, TinyAndHugeValuesAreMeasuredAsAnyOthers) {
  const auto want = Normal(1000, 5);
  auto got = want;
  for (float& value : got) value *= 1.01f;
  const QualityStats usual = Measure(want, got, 500);
  for (const float scale : {0x1p-100f, 0x1p-70f, 0x1p70f, 0x1p100f}) {
    auto scaled_want = want, scaled_got = got;
    for (float& value : scaled_want) value *= scale;
    for (float& value : scaled_got) value *= scale;
    const QualityStats stats = Measure(scaled_want, scaled_got, 500);
    EXPECT_NEAR(stats.sqnr(), usual.sqnr(), 1e-3) << std::hexfloat << scale;
    EXPECT_NEAR(stats.gain(), usual.gain(), 1e-6) << std::hexfloat << scale;
  }
}

TEST(Quality, NanAndInfinityCountAndEnterNoSum) {
  std::vector<float> want(256, 1), got(256, 1);
  want[0] = got[0] = kNan;
  want[1] = got[1] = -kInfinity;
  got[2] = kNan;
  want[3] = kInfinity;
  want[4] = kInfinity, got[4] = -kInfinity;
  want[5] = 0.0f, got[5] = -0.0f;
  const QualityStats stats = Measure(want, got, 128);
  EXPECT_EQ(stats.differing, 3u);
  EXPECT_EQ(stats.not_finite, 3u);
  EXPECT_EQ(stats.nan_want, 1u);
  EXPECT_EQ(stats.nan_got, 2u);
  EXPECT_EQ(stats.noise, 0);
  EXPECT_EQ(stats.signal, 250);
  EXPECT_TRUE(std::isinf(stats.sqnr()));
}

TEST(Quality, MergingTilesGivesTheWholeAndItsPlaces) {
  constexpr uint64_t kRows = 12, kCols = 300;
  const auto want = Normal(kRows * kCols, 6);
  auto got = want;
  for (size_t i = 0; i < got.size(); ++i) got[i] += i % 2 == 0 ? 0.01f : -0.01f;
  for (uint64_t c = 0; c < kCols; ++c) got[7 * kCols + c] = 0;    // the worst row
  for (uint64_t c = 128; c < 256; ++c) got[3 * kCols + c] *= -2;  // the worst group
  const std::vector<float> error(want.size(), 0.01f);
  const QualityStats whole = Measure(want, got, kCols, &error);
  ASSERT_TRUE(whole.worst_row && whole.worst_group && whole.least_expected_row);
  EXPECT_EQ(whole.worst_group->row, 3u);
  EXPECT_EQ(whole.worst_group->col, 128u);
  EXPECT_EQ(whole.unexplained_group->row, 3u);
  QualityStats merged;
  for (uint64_t row = 0; row < kRows; row += 5) {
    const uint64_t rows = std::min<uint64_t>(5, kRows - row);
    merged.Merge(MeasureQuality({.want = want.data() + row * kCols,
                                 .got = got.data() + row * kCols,
                                 .error = error.data(),
                                 .rows = rows,
                                 .cols = kCols,
                                 .first_row = row}));
  }
  EXPECT_EQ(merged.values, whole.values);
  EXPECT_EQ(merged.differing, whole.differing);
  EXPECT_DOUBLE_EQ(merged.noise, whole.noise);
  EXPECT_DOUBLE_EQ(merged.expected_squares, whole.expected_squares);
  EXPECT_EQ(merged.worst_row->row, whole.worst_row->row);
  EXPECT_EQ(merged.worst_group->row, whole.worst_group->row);
  EXPECT_EQ(merged.worst_group->col, whole.worst_group->col);
  EXPECT_EQ(merged.least_expected_row->row, whole.least_expected_row->row);
}

struct Source {
  const char* name;
  std::function<float(std::mt19937&)> draw;
};

// Of what comes out of the codes and scales alone, the noise is known to 0.3 dB.
TEST(Quality, PredictsTheNoiseOfEveryFloatFormatForEveryDistribution) {
  std::normal_distribution<float> normal(0, 0.02f);
  std::uniform_real_distribution<float> uniform(-0.1f, 0.1f), exponent(-12.2f, 0.3f);
  std::student_t_distribution<float> heavy(5);
  const Source sources[] = {
      {"normal", [&](std::mt19937& r) { return normal(r); }},
      {"uniform", [&](std::mt19937& r) { return uniform(r); }},
      {"heavy tails", [&](std::mt19937& r) { return 0.02f * heavy(r); }},
      {"log-uniform", [&](std::mt19937& r) { return std::exp2(exponent(r)); }},
  };
  const auto fp8 = MakeFp8BlockScheme({});
  const auto fp8_powers = MakeFp8BlockScheme({.scale_format = ScaleFormat::kUe8m0});
  const Scheme* schemes[] = {&PlainScheme(Dtype::kBF16), &PlainScheme(Dtype::kF16), fp8.get(),
                             fp8_powers.get()};
  constexpr uint64_t kCols = 512;
  for (const Source& source : sources) {
    std::mt19937 random(7);
    std::vector<float> want(512 * kCols);
    for (float& value : want) value = source.draw(random);
    for (const Scheme* scheme : schemes) {
      const QualityStats stats = RoundTrip(*scheme, want, kCols);
      EXPECT_NEAR(Decibels(stats.noise, stats.expected), 0, 0.3)
          << source.name << " as " << scheme->name() << ": " << stats.sqnr() << " dB";
      EXPECT_LT(stats.unexplained_gain(), 2e-4) << source.name << " as " << scheme->name();
      EXPECT_LE(stats.least_expected_row->excess(), 0) << source.name << scheme->name();
      EXPECT_FALSE(stats.unexplained_group) << source.name << " as " << scheme->name();
    }
  }
}

TEST(Quality, WithoutSignalOrNoiseThereAreNoNumbersToDivide) {
  const std::vector<float> zeros(256), ones(256, 1), error(256, 0.1f);
  const QualityStats same = Measure(ones, ones, 128, &error);
  EXPECT_TRUE(std::isinf(same.sqnr()) && same.sqnr() > 0);
  EXPECT_LT(same.excess(), 0);
  EXPECT_FALSE(same.worst_row || same.worst_group || same.least_expected_row);
  const QualityStats lost = Measure(zeros, ones, 128, &error);
  EXPECT_TRUE(std::isinf(lost.sqnr()) && lost.sqnr() < 0);
  EXPECT_TRUE(lost.unexplained_group);
}

}  // namespace
}  // namespace tessera
