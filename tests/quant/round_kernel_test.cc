#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "quant/kernels/fp8_encode.h"
#include "quant/kernels/round.h"
#include "quant/kernels/target.h"
#include "quant/reference.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

struct Rounded {
  std::vector<uint16_t> bf16, f16, f16_saturated;
  std::vector<uint8_t> e4m3;
  size_t overflows = 0, not_finite = 0;
};

Rounded Want(const std::vector<float>& in) {
  Rounded want;
  for (const float x : in) {
    const uint16_t f16 = reference::RoundToF16(x);
    const bool overflows = (f16 & 0x7FFF) == 0x7C00 && std::isfinite(x);
    want.bf16.push_back(reference::RoundToBf16(x));
    want.f16.push_back(f16);
    want.f16_saturated.push_back(static_cast<uint16_t>(overflows ? f16 - 1 : f16));
    want.e4m3.push_back(reference::RoundToE4m3(x));
    want.overflows += overflows;
    want.not_finite += !std::isfinite(x);
  }
  return want;
}

Rounded Round(const std::vector<float>& in) {
  const size_t n = in.size();
  Rounded got{std::vector<uint16_t>(n), std::vector<uint16_t>(n), std::vector<uint16_t>(n),
              std::vector<uint8_t>(n)};
  kernels::F32ToBf16(in.data(), n, got.bf16.data());
  got.overflows = kernels::F32ToF16(in.data(), n, false, got.f16.data());
  EXPECT_EQ(kernels::F32ToF16(in.data(), n, true, got.f16_saturated.data()), got.overflows);
  const std::vector<float> ones(n / 128 + 1, 1.0f);
  got.not_finite = kernels::F32ToE4m3(in.data(), n, ones.data(), 128, got.e4m3.data());
  return got;
}

void ExpectSame(const Rounded& got, const Rounded& want) {
  ASSERT_TRUE(SameBits(got.bf16, want.bf16)) << "BF16";
  ASSERT_TRUE(SameBits(got.f16, want.f16)) << "F16";
  ASSERT_TRUE(SameBits(got.f16_saturated, want.f16_saturated)) << "F16, saturated";
  ASSERT_TRUE(SameBits(got.e4m3, want.e4m3)) << "E4M3";
  ASSERT_EQ(got.overflows, want.overflows);
  ASSERT_EQ(got.not_finite, want.not_finite);
}

void ExpectOnEveryTarget(const std::vector<float>& in) {
  const Rounded want = Want(in);
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(target.name());
    const ScopedTarget use(target);
    ExpectSame(Round(in), want);
  }
}

constexpr uint64_t kAllFloats = uint64_t{1} << 32;

// Every `stride`-th of the floats whose bits are below `end`, in chunks.
void ExpectForFloats(uint64_t stride, uint64_t end) {
  constexpr size_t kChunk = 1 << 16;
  std::vector<float> in;
  for (uint64_t bits = 0; bits < end; bits += stride) {
    in.push_back(FromBits(static_cast<uint32_t>(bits)));
    if (in.size() < kChunk) continue;
    ExpectOnEveryTarget(in);
    if (testing::Test::HasFailure()) FAIL() << "in the chunk that ends at " << std::hex << bits;
    in.clear();
  }
  ExpectOnEveryTarget(in);
}

TEST(RoundKernel, EveryThousandthFloatMatchesReferenceOnEveryTarget) {
  ExpectForFloats(997, kAllFloats);
}

// Minutes. Rounding looks at the magnitude alone; signs are the other tests' business.
TEST(RoundKernelSlow, EveryPositiveFloatMatchesReferenceOnEveryTarget) {
  ExpectForFloats(1, kAllFloats / 2);
}

// All that decides a rounding: every value of the target's top bits, with the bits below them at,
// just under and just over the tie.
TEST(RoundKernel, EveryTieMatchesReferenceOnEveryTarget) {
  std::vector<float> in;
  for (uint32_t top = 0; top < 1u << 16; ++top) {
    for (const uint32_t rest : {0u, 1u, 0x0FFFu, 0x1000u, 0x1001u, 0x3000u, 0x7FFFu, 0x8000u,
                                0x8001u, 0xEFFFu, 0xFFFFu}) {
      in.push_back(FromBits(top << 16 | rest));
    }
  }
  ExpectOnEveryTarget(in);
}

TEST(RoundKernel, EveryTailMatchesReferenceOnEveryTarget) {
  std::mt19937 random(3);
  for (size_t n = 0; n <= 300; ++n) {
    std::vector<float> in(n);
    for (float& x : in) x = FromBits(static_cast<uint32_t>(random()));
    ExpectOnEveryTarget(in);
  }
}

TEST(RoundKernel, EveryHalfFloatMatchesReferenceOnEveryTarget) {
  constexpr size_t kAll = 1 << 16;
  std::vector<uint16_t> in(kAll);
  std::vector<float> from_bf16(kAll), from_f16(kAll);
  std::vector<uint16_t> f16_as_bf16(kAll);
  for (size_t i = 0; i < kAll; ++i) {
    in[i] = static_cast<uint16_t>(i);
    from_bf16[i] = reference::DecodeBf16(in[i]);
    from_f16[i] = reference::DecodeF16(in[i]);
    f16_as_bf16[i] = reference::RoundToBf16(from_f16[i]);
  }
  const Rounded bf16_rounded = Want(from_bf16);
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(target.name());
    const ScopedTarget use(target);
    std::vector<float> wide(kAll);
    kernels::Bf16ToF32(in.data(), kAll, wide.data());
    EXPECT_TRUE(SameBits(wide, from_bf16)) << "BF16 to F32";
    kernels::F16ToF32(in.data(), kAll, wide.data());
    EXPECT_TRUE(SameBits(wide, from_f16)) << "F16 to F32";
    std::vector<uint16_t> narrow(kAll);
    kernels::F16ToBf16(in.data(), kAll, narrow.data());
    EXPECT_TRUE(SameBits(narrow, f16_as_bf16)) << "F16 to BF16";
    EXPECT_EQ(kernels::Bf16ToF16(in.data(), kAll, false, narrow.data()), bf16_rounded.overflows);
    EXPECT_TRUE(SameBits(narrow, bf16_rounded.f16)) << "BF16 to F16";
    EXPECT_EQ(kernels::Bf16ToF16(in.data(), kAll, true, narrow.data()), bf16_rounded.overflows);
    EXPECT_TRUE(SameBits(narrow, bf16_rounded.f16_saturated)) << "BF16 to F16, saturated";
  }
}

}  // namespace
}  // namespace tessera
