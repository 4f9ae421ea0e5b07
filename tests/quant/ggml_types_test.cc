#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "quant/ggml_blocks.h"
#include "quant/ggml_mxfp4.h"
#include "quant/ggml_rows.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

TEST(GgmlTypes, NamesAreReadInAnyCase) {
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    EXPECT_EQ(ParseGgmlType(Name(info.type)), info.type);
    EXPECT_EQ(GgmlRowBytes(info.type, 7168),
              7168u / Info(info.type).block * Info(info.type).block_bytes());
  }
  EXPECT_EQ(ParseGgmlType("q4_k"), Dtype::kQ4_K);
  EXPECT_EQ(ParseGgmlType("iq4_xs"), Dtype::kIq4Xs);
  EXPECT_EQ(ParseGgmlType("IQ1_S"), std::nullopt);
  EXPECT_EQ(ParseGgmlType("F32"), std::nullopt);
  EXPECT_EQ(ParseGgmlType("Q4_K_M"), std::nullopt);
  EXPECT_EQ(ParseGgmlType(""), std::nullopt);
}

// One code at its largest among zeros comes back from its own place, and only from there.
template <class Block>
void ExpectCodesHavePlaces(uint8_t largest) {
  for (size_t at = 0; at < kGgmlSuperBlock; ++at) {
    std::vector<uint8_t> codes(kGgmlSuperBlock, 0), unpacked(kGgmlSuperBlock);
    codes[at] = largest;
    Block block{};
    PackCodes(codes.data(), block);
    UnpackCodes(block, unpacked.data());
    ASSERT_TRUE(SameBits(unpacked, codes)) << "code " << at;
  }
}

TEST(GgmlBlocks, EveryCodeHasAPlaceOfItsOwn) {
  ExpectCodesHavePlaces<BlockQ2_K>(3);
  ExpectCodesHavePlaces<BlockQ3_K>(7);
  ExpectCodesHavePlaces<BlockQ4_K>(15);
  ExpectCodesHavePlaces<BlockQ5_K>(31);
  ExpectCodesHavePlaces<BlockQ6_K>(63);
  ExpectCodesHavePlaces<BlockIq4Xs>(15);
}

TEST(GgmlBlocks, EveryScaleHasAPlaceOfItsOwn) {
  for (size_t at = 0; at < 16; ++at) {
    std::vector<uint8_t> scales(16, 0), unpacked(16);
    scales[at] = 63;
    BlockQ3_K q3{};
    PackScales(scales.data(), q3);
    UnpackScales(q3, unpacked.data());
    EXPECT_TRUE(SameBits(unpacked, scales)) << "Q3_K's scale " << at;
    uint8_t packed[12];
    PackScaleMins(scales.data(), scales.data() + 8, packed);
    UnpackScaleMins(packed, unpacked.data(), unpacked.data() + 8);
    EXPECT_TRUE(SameBits(unpacked, scales)) << "Q4_K's scale or minimum " << at;
    if (at >= 8) continue;
    BlockIq4Xs iq4{};
    PackScales(scales.data(), iq4);
    UnpackScales(iq4, unpacked.data());
    unpacked.resize(8);
    scales.resize(8);
    EXPECT_TRUE(SameBits(unpacked, scales)) << "IQ4_XS's scale " << at;
    unpacked.resize(16);
  }
}

TEST(GgmlTypes, AScaleBeyondF16IsTold) {
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    std::vector<float> x(Info(info.type).block, 0.0f);
    std::vector<std::byte> out(Info(info.type).block_bytes());
    x[1] = -x[0];
    x[3] = -1.0f;
    x[5] = 60000.0f;
    QuantizeGgmlRow(info.type, x.data(), x.size(), nullptr, out.data());
    EXPECT_TRUE(GgmlScalesAreFinite(info.type, out.data(), x.size())) << Name(info.type);
    x[5] = 1e12f;
    QuantizeGgmlRow(info.type, x.data(), x.size(), nullptr, out.data());
    // A power of two has room for that.
    EXPECT_EQ(GgmlScalesAreFinite(info.type, out.data(), x.size()), info.type == Dtype::kMxfp4)
        << Name(info.type);
  }
}

// How many floats below 2^k round up to it, by glibc's log2f: ln 2 times half its last place.
TEST(GgmlMxfp4, ExponentsAreThoseOfLog2f) {
  for (int k = -125; k <= 127; ++k) {
    const auto power = std::bit_cast<uint32_t>(std::ldexp(1.0f, k));
    const int magnitude = k > 0 ? k - 1 : -k;
    const auto slack = static_cast<uint32_t>(
        magnitude == 0 ? 0 : std::log(2.0) * (1 << (std::bit_width(uint32_t(magnitude)) - 1)));
    EXPECT_EQ(FloorLog2(FromBits(power)), k);
    EXPECT_EQ(FloorLog2(FromBits(power - slack)), k) << "2^" << k << " less " << slack;
    EXPECT_EQ(FloorLog2(FromBits(power - slack - 1)), k - 1) << "2^" << k << " less " << slack + 1;
  }
}

TEST(GgmlMxfp4, TinyBlocksKeepTheirValuesUnderTheLeastExponent) {
  std::vector<float> x(32, 0.0f), back(32);
  x[0] = 0x1.8p-126f;
  x[1] = -0x1p-128f;
  x[2] = 0x1p-149f;
  std::vector<std::byte> out(17);
  QuantizeGgmlRow(Dtype::kMxfp4, x.data(), x.size(), nullptr, out.data());
  EXPECT_EQ(out[0], std::byte{0});
  DequantizeGgmlRow(Dtype::kMxfp4, out.data(), x.size(), back.data());
  x[2] = 0;
  EXPECT_TRUE(SameBits(back, x));
}

}  // namespace
}  // namespace tessera
