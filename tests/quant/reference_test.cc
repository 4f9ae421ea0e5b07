#include "quant/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

struct Format {
  const char* name;
  uint32_t largest;  // the code of its largest finite value
  std::function<float(uint32_t)> decode;
  std::function<uint32_t(float)> round;
  uint32_t sign;
};

std::vector<Format> Formats() {
  return {{"BF16", 0x7F7F, [](uint32_t c) { return reference::DecodeBf16(uint16_t(c)); },
           reference::RoundToBf16, 0x8000},
          {"F16", 0x7BFF, [](uint32_t c) { return reference::DecodeF16(uint16_t(c)); },
           reference::RoundToF16, 0x8000},
          {"E4M3", 0x7E, [](uint32_t c) { return reference::DecodeE4m3(uint8_t(c)); },
           reference::RoundToE4m3, 0x80}};
}

// Rounding is monotone, so its value at the middle of every two neighbours and one float to each
// side of it determines it everywhere within the range.
TEST(Reference, RoundsToTheNearestNeighbourAndTiesToTheEvenCode) {
  for (const Format& f : Formats()) {
    for (uint32_t code = 0; code < f.largest; ++code) {
      const double middle = (double{f.decode(code)} + double{f.decode(code + 1)}) / 2;
      const auto exact = static_cast<float>(middle);
      const bool is_float = double{exact} == middle;  // BF16's smallest halves are, too
      ASSERT_TRUE(is_float) << f.name << " " << code;
      const uint32_t even = code % 2 == 0 ? code : code + 1;
      ASSERT_EQ(f.round(exact), even) << f.name << " " << code;
      ASSERT_EQ(f.round(std::nextafter(exact, 0.0f)), code) << f.name;
      ASSERT_EQ(f.round(std::nextafter(exact, HUGE_VALF)), code + 1) << f.name;
      ASSERT_EQ(f.round(-exact), even | f.sign) << f.name;
    }
  }
}

TEST(Reference, EveryCodeSurvivesDecodingAndRounding) {
  for (const Format& f : Formats()) {
    for (uint32_t code = 0; code <= f.largest; ++code) {
      ASSERT_EQ(f.round(f.decode(code)), code) << f.name;
      ASSERT_EQ(f.round(f.decode(code | f.sign)), code | f.sign) << f.name;
    }
  }
}

TEST(Reference, BeyondTheRangeIsInfinityOrSaturates) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float largest = std::numeric_limits<float>::max();
  EXPECT_EQ(reference::RoundToBf16(largest), 0x7F80);
  EXPECT_EQ(reference::RoundToBf16(0x1.fefffep127f), 0x7F7F);
  EXPECT_EQ(reference::RoundToBf16(-infinity), 0xFF80);
  EXPECT_EQ(reference::RoundToF16(65520.0f), 0x7C00);
  EXPECT_EQ(reference::RoundToF16(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
  EXPECT_EQ(reference::RoundToF16(-largest), 0xFC00);
  EXPECT_EQ(reference::RoundToE4m3(464.0f), 0x7E);
  EXPECT_EQ(reference::RoundToE4m3(480.0f), 0x7E);
  EXPECT_EQ(reference::RoundToE4m3(-largest), 0xFE);
  EXPECT_EQ(reference::RoundToE4m3(infinity), 0x7E);
}

TEST(Reference, EveryNanBecomesTheOneQuietNan) {
  for (const uint32_t bits : {0x7F800001u, 0x7FC00000u, 0xFFC00000u, 0xFFFFFFFFu}) {
    EXPECT_EQ(reference::RoundToBf16(FromBits(bits)), 0x7FC0);
    EXPECT_EQ(reference::RoundToF16(FromBits(bits)), 0x7E00);
    EXPECT_EQ(reference::RoundToE4m3(FromBits(bits)), 0x7F);
    EXPECT_EQ(BitsOfValue(reference::Scaled(1.0f, FromBits(bits))), 0x7FC00000u);
  }
  EXPECT_EQ(BitsOfValue(reference::Scaled(0.0f, FromBits(0xFF800000))), 0x7FC00000u);
}

TEST(Reference, E8m0IsEveryPowerOfTwoAndOneNan) {
  for (int code = 0; code < 255; ++code) {
    EXPECT_EQ(reference::DecodeE8m0(static_cast<uint8_t>(code)), std::exp2(code - 127.0));
  }
  EXPECT_EQ(BitsOfValue(reference::DecodeE8m0(255)), 0x7FC00000u);
}

TEST(Reference, Ue8m0ScaleIsTheLeastPowerOfTwoThatKeepsTheBlockInRange) {
  for (int exponent = -12; exponent < 119; ++exponent) {
    const float power = std::ldexp(1.0f, exponent);
    EXPECT_EQ(reference::BlockScale(448 * power, true), power);
    EXPECT_EQ(reference::BlockScale(448 * std::nextafter(power, 1e38f), true), 2 * power);
  }
}

TEST(Reference, ScaleIsClampedBelowAndDividedInF32) {
  EXPECT_EQ(reference::BlockScale(0.0f, false), 1e-4f / 448.0f);
  EXPECT_EQ(reference::BlockScale(9e-5f, false), 1e-4f / 448.0f);
  EXPECT_EQ(reference::BlockScale(0.0f, true), 0x1p-22f);  // 1e-4/448 = 1.87 * 2^-23
  EXPECT_EQ(reference::BlockScale(3.0f, false), 3.0f / 448.0f);
  EXPECT_TRUE(std::isinf(reference::BlockScale(std::nanf(""), false)));
}

}  // namespace
}  // namespace tessera
