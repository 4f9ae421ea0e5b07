#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "quant/kernels/fp8_encode.h"
#include "quant/kernels/target.h"
#include "quant/reference.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

void ExpectOnEveryTarget(const std::vector<float>& row, const std::vector<float>& scales,
                         uint32_t block_cols) {
  std::vector<uint8_t> want;
  std::vector<uint32_t> want_amax(scales.size());
  size_t not_finite = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    want.push_back(reference::EncodeE4m3(row[i], scales[i / block_cols]));
    const auto magnitude = static_cast<uint32_t>(BitsOfValue(row[i]) & 0x7FFFFFFF);
    want_amax[i / block_cols] = std::max(want_amax[i / block_cols], magnitude);
    not_finite += !std::isfinite(row[i]);
  }
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(testing::Message() << target.name() << " n=" << row.size()
                                    << " scale=" << std::hexfloat << scales[0]);
    const ScopedTarget use(target);
    std::vector<uint8_t> codes(row.size());
    EXPECT_EQ(kernels::F32ToE4m3(row.data(), row.size(), scales.data(), block_cols, codes.data()),
              not_finite);
    ASSERT_TRUE(SameBits(codes, want));
    std::vector<uint32_t> amax(scales.size());
    kernels::RaiseAbsMax(row.data(), row.size(), block_cols, amax.data());
    ASSERT_TRUE(SameBits(amax, want_amax));
  }
}

std::vector<float> RandomFloats(std::mt19937& random, size_t n) {
  std::vector<float> row(n);
  for (float& x : row) x = FromBits(static_cast<uint32_t>(random()));
  return row;
}

TEST(Fp8EncodeKernel, EveryTailMatchesReferenceOnEveryTarget) {
  std::mt19937 random(11);
  for (size_t n = 0; n <= 300; ++n) {
    ExpectOnEveryTarget(RandomFloats(random, n), {1.0f, 0x1.3p-3f, 3.0f}, 128);
  }
}

TEST(Fp8EncodeKernel, EveryBf16UnderAwkwardScalesMatchesReferenceOnEveryTarget) {
  std::vector<float> row;
  for (uint32_t bits = 0; bits < 1u << 16; ++bits) row.push_back(FromBits(bits << 16));
  for (const float scale : AwkwardScales()) ExpectOnEveryTarget(row, {scale}, 1u << 16);
}

TEST(Fp8EncodeKernel, MillionsOfRandomFloatsMatchReferenceOnEveryTarget) {
  constexpr uint32_t kSeed = 12;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  for (int round = 0; round < 16; ++round) {
    ExpectOnEveryTarget(RandomFloats(random, 1 << 16), RandomFloats(random, 512), 128);
  }
}

TEST(Fp8EncodeKernel, AbsMaxGoesOnFromEarlierRows) {
  const std::vector<float> first = {1, -5, 2}, second = {-3, 4, 1};
  std::vector<uint32_t> amax(2);
  kernels::RaiseAbsMax(first.data(), 3, 2, amax.data());
  kernels::RaiseAbsMax(second.data(), 3, 2, amax.data());
  EXPECT_EQ(FromBits(amax[0]), 5.0f);
  EXPECT_EQ(FromBits(amax[1]), 2.0f);
}

}  // namespace
}  // namespace tessera
