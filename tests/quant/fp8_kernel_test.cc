#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "quant/kernels/fp8.h"
#include "quant/kernels/target.h"
#include "quant/reference.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

using kernels::Fp8Code;

// A matrix that shares one row of scales, with what the specification makes of it.
struct Case {
  Fp8Code format = Fp8Code::kE4m3;
  size_t rows = 1, cols = 0;
  uint32_t block_cols = 128;
  std::vector<uint8_t> codes;
  std::vector<float> scales;

  kernels::Fp8Rows Rows() const {
    return {codes.data(), rows, cols, scales.data(), block_cols, format};
  }
  float Decode(uint8_t code) const {
    return format == Fp8Code::kE4m3 ? reference::DecodeE4m3(code) : reference::DecodeE5m2(code);
  }
};

struct Wanted {
  std::vector<float> f32;
  std::vector<uint16_t> bf16, f16, f16_saturated;
  size_t nan_codes = 0, overflows = 0;
};

Wanted Want(const Case& c) {
  Wanted want;
  for (size_t i = 0; i < c.codes.size(); ++i) {
    const float value = c.Decode(c.codes[i]);
    const float x = reference::Scaled(value, c.scales[i % c.cols / c.block_cols]);
    const uint16_t f16 = reference::RoundToF16(x);
    const bool overflows = (f16 & 0x7FFF) == 0x7C00 && std::isfinite(x);
    want.f32.push_back(x);
    want.bf16.push_back(reference::RoundToBf16(x));
    want.f16.push_back(f16);
    want.f16_saturated.push_back(static_cast<uint16_t>(overflows ? f16 - 1 : f16));
    want.nan_codes += std::isnan(value);
    want.overflows += overflows;
  }
  return want;
}

// On the target in use. Outputs are one element longer, to see that nothing is written past them.
void ExpectAsWanted(const Case& c, const Wanted& want) {
  const size_t n = c.codes.size();
  std::vector<uint16_t> half(n + 1, 0xABCD);
  EXPECT_EQ(kernels::Fp8ToBf16(c.Rows(), half.data()), want.nan_codes);
  EXPECT_EQ(half.back(), 0xABCD);
  half.resize(n);
  EXPECT_TRUE(SameBits(half, want.bf16)) << "BF16";

  std::vector<float> single(n + 1, 42.0f);
  EXPECT_EQ(kernels::Fp8ToF32(c.Rows(), single.data()), want.nan_codes);
  EXPECT_EQ(single.back(), 42.0f);
  single.resize(n);
  EXPECT_TRUE(SameBits(single, want.f32)) << "F32";

  for (const bool saturate : {false, true}) {
    size_t overflows = 0;
    half.assign(n + 1, 0xABCD);
    EXPECT_EQ(kernels::Fp8ToF16(c.Rows(), saturate, half.data(), overflows), want.nan_codes);
    EXPECT_EQ(overflows, want.overflows);
    EXPECT_EQ(half.back(), 0xABCD);
    half.resize(n);
    EXPECT_TRUE(SameBits(half, saturate ? want.f16_saturated : want.f16)) << "F16";
  }
}

void ExpectOnEveryTarget(const Case& c) {
  const Wanted want = Want(c);
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(testing::Message()
                 << target.name() << " rows=" << c.rows << " cols=" << c.cols
                 << " block=" << c.block_cols << " scale=" << std::hexfloat << c.scales[0]);
    const ScopedTarget use(target);
    ExpectAsWanted(c, want);
  }
}

std::vector<uint8_t> AllCodes() {
  std::vector<uint8_t> codes;
  for (int code = 0; code < 256; ++code) codes.push_back(static_cast<uint8_t>(code));
  return codes;
}

// Codes without NaN stay on the table's path, which a NaN in the row would leave.
std::vector<uint8_t> AllNumbers() {
  std::vector<uint8_t> codes;
  for (const uint8_t code : AllCodes()) {
    if ((code & 0x7F) != 0x7F) codes.push_back(code);
  }
  return codes;
}

TEST(Fp8Kernel, EveryCodeUnderAwkwardScalesMatchesReferenceOnEveryTarget) {
  for (const Fp8Code format : {Fp8Code::kE4m3, Fp8Code::kE5m2}) {
    for (const float scale : AwkwardScales()) {
      for (const auto& codes : {AllCodes(), AllNumbers()}) {
        ExpectOnEveryTarget({format, 1, codes.size(), 256, codes, {scale}});
      }
    }
  }
}

TEST(Fp8Kernel, EveryExponentOfTheScaleMatchesReferenceOnEveryTarget) {
  const std::vector<uint8_t> codes = AllNumbers();
  for (uint32_t exponent = 0; exponent < 256; ++exponent) {
    // Fractions whose products with the eight of E4M3 round up, down, to even, and carry.
    for (const uint32_t fraction :
         {0u, 1u, 0x008000u, 0x018000u, 0x249249u, 0x400000u, 0x7F0000u, 0x7F8000u, 0x7FFFFFu}) {
      ExpectOnEveryTarget(
          {Fp8Code::kE4m3, 1, codes.size(), 256, codes, {FromBits(exponent << 23 | fraction)}});
    }
  }
}

TEST(Fp8Kernel, EveryTailMatchesReferenceOnEveryTarget) {
  std::mt19937 random(20250101);
  for (size_t cols = 0; cols <= 300; ++cols) {
    for (const uint32_t block_cols : {128u, 7u}) {
      Case c{Fp8Code::kE4m3, 3, cols, block_cols, std::vector<uint8_t>(3 * cols), {}};
      for (uint8_t& code : c.codes) code = static_cast<uint8_t>(random() % 0x7F + 0x80);
      for (size_t i = 0; i <= cols / block_cols; ++i) {
        c.scales.push_back(0x1p-12f * static_cast<float>(random() % 1000 + 1));
      }
      ExpectOnEveryTarget(c);
    }
  }
}

TEST(Fp8Kernel, MillionsOfRandomCodesAndScalesMatchReferenceOnEveryTarget) {
  constexpr uint32_t kSeed = 7;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  for (int round = 0; round < 40; ++round) {
    // Wider than one strip of tables, and a last block that is not full.
    const uint32_t block_cols = round % 4 == 0 ? 16 : 128;
    Case c{Fp8Code::kE4m3, 5, block_cols * 66 + 5, block_cols, {}, {}};
    c.codes.resize(c.rows * c.cols);
    for (uint8_t& code : c.codes) code = static_cast<uint8_t>(random());
    if (round % 2 == 0) {
      for (uint8_t& code : c.codes) code = (code & 0x7F) == 0x7F ? 0 : code;
    }
    c.scales.resize(67);
    for (float& scale : c.scales) scale = FromBits(static_cast<uint32_t>(random()));
    ExpectOnEveryTarget(c);
  }
}

TEST(Fp8Kernel, TakesCodesAtOddAddressesAndOutputsAtAnyElement) {
  const std::vector<uint8_t> codes = AllCodes();
  const Wanted want = Want({Fp8Code::kE4m3, 1, 255, 256, {codes.begin() + 1, codes.end()}, {0.5f}});
  const float scale = 0.5f;
  for (const SimdTarget target : SupportedTargets()) {
    const ScopedTarget use(target);
    std::vector<uint16_t> out(255 + 1);
    kernels::Fp8ToBf16({codes.data() + 1, 1, 255, &scale, 256}, out.data() + 1);
    EXPECT_EQ(std::memcmp(out.data() + 1, want.bf16.data(), 510), 0) << target.name();
  }
}

}  // namespace
}  // namespace tessera
