#include "quant/scheme_int.h"

#include <gtest/gtest.h>

#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

using Bytes = std::vector<uint8_t>;

// The parts of these codes and zeros, all scales 1.
std::vector<Bytes> Packed(const IntScheme& scheme, std::vector<int8_t> codes,
                          std::vector<int8_t> zeros, uint64_t rows) {
  const uint64_t cols = codes.size() / rows;
  std::vector<float> scales(zeros.size(), 1.0f);
  std::vector<Bytes> parts;
  std::vector<std::span<std::byte>> spans;
  for (size_t i = 0; i < scheme.Parts(rows, cols).size(); ++i) {
    parts.emplace_back(scheme.PartBytes(i, rows, cols, {0, rows}).size(), uint8_t{0xEE});
  }
  for (Bytes& part : parts) spans.push_back(std::as_writable_bytes(std::span(part)));
  scheme.WriteCodes({rows, cols, zeros.size() / rows, codes, scales, zeros}, rows, cols, {0, rows},
                    spans);
  return parts;
}

TEST(CtPackedScheme, FourBitCodesFillWordsFromTheLowestBits) {
  const auto scheme = MakeCtPackedScheme({.group = 0});
  const auto parts = Packed(*scheme, {-8, -7, -1, 0, 1, 2, 6, 7}, {0}, 1);
  EXPECT_EQ(parts[0], (Bytes{0x10, 0x87, 0xA9, 0xFE}));
  EXPECT_EQ(parts[1], (Bytes{0x80, 0x3F}));
  EXPECT_EQ(parts[2], (Bytes{1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(CtPackedScheme, EightBitCodesAreBytesInOrder) {
  const auto scheme = MakeCtPackedScheme({.bits = 8, .group = 0});
  EXPECT_EQ(Packed(*scheme, {-128, -1, 0, 127}, {0}, 1)[0], (Bytes{0x00, 0x7F, 0x80, 0xFF}));
}

TEST(CtPackedScheme, WhatCodesLeaveOfTheLastWordIsZeroBits) {
  const auto four = MakeCtPackedScheme({.group = 0});
  EXPECT_EQ(Packed(*four, {1, 2, 3}, {0}, 1)[0], (Bytes{0xA9, 0x0B, 0x00, 0x00}));
  const auto eight = MakeCtPackedScheme({.bits = 8, .group = 0});
  EXPECT_EQ(Packed(*eight, {1, 2, 3}, {0}, 1)[0], (Bytes{0x81, 0x82, 0x83, 0x00}));
}

TEST(CtPackedScheme, ZerosArePackedAlongRows) {
  const auto four = MakeCtPackedScheme({.group = 0, .symmetric = false});
  const std::vector<int8_t> zeros = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 7};
  const auto parts = Packed(*four, std::vector<int8_t>(80), zeros, 10);
  EXPECT_EQ(parts[2], (Bytes{0x10, 0x32, 0x54, 0x76, 0xF8, 0x00, 0x00, 0x00}));
  const auto eight = MakeCtPackedScheme({.bits = 8, .group = 4, .symmetric = false});
  // Two groups a row: word [0, 1] holds the second group's zeros of rows 0 to 3.
  const auto wide = Packed(*eight, std::vector<int8_t>(16), {-128, 1, 0, 2}, 2);
  EXPECT_EQ(wide[2], (Bytes{0x00, 0x80, 0x00, 0x00, 0x81, 0x82, 0x00, 0x00}));
}

TEST(CtPackedScheme, PartsAreThoseOfPackQuantized) {
  const auto parts = MakeCtPackedScheme({.symmetric = false})->Parts(576, 7168);
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].suffix, ".weight_packed");
  EXPECT_EQ(parts[0].dtype, Dtype::kI32);
  EXPECT_EQ(parts[0].shape, (Shape{576, 896}));
  EXPECT_EQ(parts[1].suffix, ".weight_scale");
  EXPECT_EQ(parts[1].dtype, Dtype::kBF16);
  EXPECT_EQ(parts[1].shape, (Shape{576, 56}));
  EXPECT_EQ(parts[2].suffix, ".weight_zero_point");
  EXPECT_EQ(parts[2].dtype, Dtype::kI32);
  EXPECT_EQ(parts[2].shape, (Shape{72, 56}));
  EXPECT_EQ(parts[3].suffix, ".weight_shape");
  EXPECT_EQ(parts[3].dtype, Dtype::kI64);
  EXPECT_EQ(parts[3].shape, (Shape{2}));
  EXPECT_TRUE(parts[3].constant);
  EXPECT_EQ(MakeCtPackedScheme({})->Parts(576, 7168).size(), 3u);
}

TEST(CtPackedScheme, AShapeThatIsNotTheWeightsIsCounted) {
  const auto scheme = MakeCtPackedScheme({.group = 0});
  auto parts = Packed(*scheme, std::vector<int8_t>(16), {0, 0}, 2);
  parts[2][8] = 9;
  std::vector<std::span<const std::byte>> spans;
  for (const Bytes& part : parts) spans.push_back(std::as_bytes(std::span(part)));
  std::vector<float> out(16);
  ValueStats stats;
  scheme->DecodeRows(spans, 2, 8, {0, 2}, out.data(), stats);
  EXPECT_EQ(stats.wrong_constants, 1u);
}

TEST(CtPackedScheme, AShorterLastGroupIsRefusedNamingWhatFits) {
  EXPECT_TRUE(MakeCtPackedScheme({})->Accepts(576, 7168).has_value());
  EXPECT_TRUE(MakeCtPackedScheme({.group = 0})->Accepts(576, 7001).has_value());
  const auto refused = MakeCtPackedScheme({})->Accepts(576, 1056);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(refused.error().next(), "What fits: groups of 32, or one scale a row.");
}

TEST(Int8Scheme, CodesAndScalesLieAsTheyAre) {
  const auto rows = MakeCtInt8Scheme(Search::kMse);
  EXPECT_EQ(rows->Parts(576, 7168)[1].suffix, ".weight_scale");
  EXPECT_EQ(rows->Parts(576, 7168)[1].shape, (Shape{576, 1}));
  EXPECT_EQ(Packed(*rows, {-128, -1, 0, 127}, {0}, 1)[0], (Bytes{0x80, 0xFF, 0x00, 0x7F}));
  const auto blocks = MakeInt8BlockScheme(Search::kMse);
  EXPECT_EQ(blocks->Parts(576, 7000)[0].dtype, Dtype::kI8);
  EXPECT_EQ(blocks->Parts(576, 7000)[1].suffix, ".weight_scale_inv");
  EXPECT_EQ(blocks->Parts(576, 7000)[1].dtype, Dtype::kF32);
  EXPECT_EQ(blocks->Parts(576, 7000)[1].shape, (Shape{5, 55}));
  EXPECT_EQ(blocks->PartBytes(1, 576, 7000, {512, 576}), (ByteRange{4 * 55 * 4, 5 * 55 * 4}));
}

// 127 steps to the largest value, towards zero; of zeros the scale is 1.
TEST(Int8Scheme, BlocksAreTruncatedUnderAbsMaxAsUpstreamDoes) {
  const auto scheme = MakeInt8BlockScheme(Search::kAbsMax, 2, 2);
  const std::vector<float> in = {127, 1.75f, 0, 0, -2.5f, -0.99f, 0, 0};
  std::vector<int8_t> codes(8);
  std::vector<float> scales(2);
  const std::vector<std::span<std::byte>> parts = {std::as_writable_bytes(std::span(codes)),
                                                   std::as_writable_bytes(std::span(scales))};
  ValueStats stats;
  scheme->EncodeRows(in.data(), 2, 4, {0, 2}, parts, stats);
  EXPECT_EQ(codes, (std::vector<int8_t>{127, 1, 0, 0, -2, 0, 0, 0}));
  EXPECT_EQ(scales, (std::vector<float>{1, 1}));
  EXPECT_EQ(stats.quality.zero_groups, 1u);
}

TEST(Int8Scheme, RowsAreRoundedToEvenUnderAbsMax) {
  const auto scheme = MakeInt8ChannelScheme(Search::kAbsMax);
  const std::vector<float> in = {127, 1.5f, 2.5f, -0.5f};
  std::vector<int8_t> codes(4);
  std::vector<float> scales(1);
  const std::vector<std::span<std::byte>> parts = {std::as_writable_bytes(std::span(codes)),
                                                   std::as_writable_bytes(std::span(scales))};
  ValueStats stats;
  scheme->EncodeRows(in.data(), 1, 4, {0, 1}, parts, stats);
  EXPECT_EQ(codes, (std::vector<int8_t>{127, 2, 2, 0}));
  EXPECT_EQ(scales[0], 1.0f);
}

TEST(Fp8Scheme, AChannelIsARowAndHasOneScale) {
  const auto scheme = MakeFp8ChannelScheme();
  EXPECT_EQ(scheme->name(), "fp8-channel");
  const auto parts = scheme->Parts(3, 300);
  EXPECT_EQ(parts[1].suffix, ".weight_scale");
  EXPECT_EQ(parts[1].shape, (Shape{3, 1}));
  std::vector<float> in(900, 0.5f);
  in[300] = 448;
  in[600] = 896;
  std::vector<uint8_t> codes(900);
  std::vector<float> scales(3);
  const std::vector<std::span<std::byte>> spans = {std::as_writable_bytes(std::span(codes)),
                                                   std::as_writable_bytes(std::span(scales))};
  ValueStats stats;
  scheme->EncodeRows(in.data(), 3, 300, {0, 3}, spans, stats);
  EXPECT_EQ(scales, (std::vector<float>{0.5f / 448, 1, 2}));
  EXPECT_EQ(codes[0], 0x7E);
  EXPECT_EQ(codes[300], 0x7E);
  EXPECT_EQ(codes[301], 0x30);
}

}  // namespace
}  // namespace tessera
