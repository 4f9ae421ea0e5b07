#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "quant/kernels/int_quantize.h"
#include "quant/kernels/target.h"
#include "quant/reference.h"
#include "quant/reference_int.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

using kernels::IntArithmetic;

std::vector<float> RandomRow(std::mt19937& random, size_t n, float scale) {
  std::student_t_distribution<float> heavy(3.0f);
  std::vector<float> row(n);
  for (float& x : row) x = scale * heavy(random);
  return row;
}

void ExpectSameSums(const kernels::IntSums& got, const kernels::IntSums& want) {
  EXPECT_EQ(BitsOfValue(got.error_squared), BitsOfValue(want.error_squared));
  EXPECT_EQ(BitsOfValue(got.error_times_code), BitsOfValue(want.error_times_code));
  EXPECT_EQ(BitsOfValue(got.code_squared), BitsOfValue(want.code_squared));
  EXPECT_EQ(got.saturated, want.saturated);
}

void ExpectEncodingOnEveryTarget(const std::vector<float>& row, const kernels::IntCoding& coding) {
  std::vector<int8_t> want(row.size());
  kernels::IntSums want_sums;
  reference::EncodeInts({row.data(), row.size(), row.size()}, &coding, want.data(), &want_sums);
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(testing::Message() << target.name() << " n=" << row.size() << " arithmetic "
                                    << static_cast<int>(coding.arithmetic) << std::hexfloat
                                    << " divisor " << coding.divisor << " zero " << coding.zero);
    const ScopedTarget use(target);
    std::vector<int8_t> got(row.size());
    kernels::IntSums sums;
    kernels::EncodeInts({row.data(), row.size(), row.size()}, &coding, got.data(), &sums);
    ASSERT_TRUE(SameBits(got, want));
    ExpectSameSums(sums, want_sums);
  }
}

float Bf16(float x) { return reference::DecodeBf16(reference::RoundToBf16(x)); }
float F16(float x) { return reference::DecodeF16(reference::RoundToF16(x)); }

constexpr IntArithmetic kAll[] = {IntArithmetic::kInverse, IntArithmetic::kF32,
                                  IntArithmetic::kF32Truncate, IntArithmetic::kBf16,
                                  IntArithmetic::kF16};

TEST(IntKernel, EveryTailIsEncodedAsTheReferenceDoesOnEveryTarget) {
  std::mt19937 random(21);
  for (const IntArithmetic arithmetic : kAll) {
    for (size_t n = 0; n <= 70; ++n) {
      const float scale = F16(0.01f);
      ExpectEncodingOnEveryTarget(RandomRow(random, n, 0.02f),
                                  {scale, 1 / scale, 3, -8, 7, arithmetic});
    }
  }
}

// BF16 quotients are taken by multiplying; this is what says that it is the same.
TEST(IntKernel, EveryBf16UnderScalesOfEverySignificandIsEncodedAsTheReferenceDoes) {
  std::vector<float> row;
  for (uint32_t bits = 0x3C00; bits < 0x4400; ++bits) {
    row.push_back(FromBits(bits << 16));
    row.push_back(-FromBits(bits << 16));
  }
  for (uint32_t significand = 0; significand < 128; ++significand) {
    const float scale = FromBits((0x3E80 | significand) << 16);
    for (const int zero : {0, -8, 5}) {
      ExpectEncodingOnEveryTarget(row, {scale, 1 / scale, zero, -8, 7, IntArithmetic::kBf16});
    }
    ExpectEncodingOnEveryTarget(row, {scale, 1 / scale, 0, -128, 127, IntArithmetic::kBf16});
    ExpectEncodingOnEveryTarget(row, {scale, 1 / scale, 0, -128, 127, IntArithmetic::kBf16});
  }
}

TEST(IntKernel, ManyScalesAreEncodedAsTheReferenceDoesOnEveryTarget) {
  constexpr uint32_t kSeed = 22;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  for (int round = 0; round < 300; ++round) {
    const float size = std::ldexp(1.0f, static_cast<int>(random() % 26) - 15);
    const auto row = RandomRow(random, 128, size);
    const float scale = size * (0.1f + static_cast<float>(random() % 1000) / 1000);
    const int zero = static_cast<int>(random() % 16) - 8;
    for (const IntArithmetic arithmetic : kAll) {
      const float stored = arithmetic == IntArithmetic::kF16    ? F16(scale)
                           : arithmetic == IntArithmetic::kBf16 ? Bf16(scale)
                                                                : scale;
      ExpectEncodingOnEveryTarget(row, {stored, 1 / stored, zero, -8, 7, arithmetic});
      ExpectEncodingOnEveryTarget(row, {stored, 1 / stored, 0, -128, 127, arithmetic});
    }
  }
}

TEST(IntKernel, ExtremesAndErrorsAreTheReferencesOnEveryTarget) {
  std::mt19937 random(23);
  for (size_t n = 1; n <= 200; ++n) {
    const auto row = RandomRow(random, n, 1.0f);
    std::vector<kernels::IntCandidate> candidates;
    for (size_t i = 0; i < n % 7; ++i) {
      const float scale = (i % 2 == 0 ? 0.1f : -0.1f) * static_cast<float>(i + 1);
      candidates.push_back({scale, 1 / scale, -8.0f - static_cast<float>(i % 3), 7});
    }
    kernels::IntExtremes want, got;
    reference::FindExtremes({row.data(), n, n}, &want);
    std::vector<float> want_errors(candidates.size());
    reference::SquaredErrors(row.data(), n, candidates.data(), candidates.size(),
                             want_errors.data());
    for (const SimdTarget target : SupportedTargets()) {
      SCOPED_TRACE(testing::Message() << target.name() << " n=" << n);
      const ScopedTarget use(target);
      kernels::FindExtremes({row.data(), n, n}, &got);
      EXPECT_EQ(got.min, want.min);
      EXPECT_EQ(got.max, want.max);
      EXPECT_EQ(got.magnitude_bits, want.magnitude_bits);
      std::vector<float> errors(candidates.size());
      kernels::SquaredErrors(row.data(), n, candidates.data(), candidates.size(), errors.data());
      ASSERT_TRUE(SameBits(errors, want_errors));
    }
  }
}

TEST(IntKernel, ExtremesTellWhatIsNotFiniteWhereverItLies) {
  for (const float odd : {NAN, -NAN, INFINITY, -INFINITY}) {
    for (size_t n = 1; n <= 40; ++n) {
      for (const size_t at : {size_t{0}, n / 2, n - 1}) {
        std::vector<float> row(n, 1.0f);
        row[at] = odd;
        for (const SimdTarget target : SupportedTargets()) {
          const ScopedTarget use(target);
          kernels::IntExtremes found;
          kernels::FindExtremes({row.data(), n, n}, &found);
          EXPECT_GE(found.magnitude_bits, 0x7F800000u)
              << target.name() << " n=" << n << " at " << at;
        }
      }
    }
  }
}

TEST(IntKernel, EveryCodeIsDecodedAsTheReferenceDoesOnEveryTarget) {
  std::vector<int8_t> codes;
  for (int code = -128; code < 128; ++code) codes.push_back(static_cast<int8_t>(code));
  for (const float scale : AwkwardScales()) {
    for (const int zero : {-128, -8, 0, 7, 127}) {
      for (const size_t n : {size_t{256}, size_t{37}}) {
        std::vector<float> want(n), got(n);
        reference::IntsToF32(codes.data(), n, zero, scale, want.data());
        for (const SimdTarget target : SupportedTargets()) {
          const ScopedTarget use(target);
          kernels::IntsToF32(codes.data(), n, zero, scale, got.data());
          ASSERT_TRUE(SameBits(got, want)) << target.name() << " scale " << scale;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera
