// AWQ, GPTQ, INT4 experts beside FP8, Ascend's INT8: where each code, zero point and scale lies.
#include <gtest/gtest.h>

#include <algorithm>

#include "quant/kernels/target.h"
#include "quant/reference.h"
#include "quant/scheme_ascend_int8.h"
#include "quant/scheme_awq.h"
#include "quant/scheme_gptq.h"
#include "quant/scheme_int4_fp8.h"
#include "tests/quant/int_values.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

// Every scheme here, with groups of 32 where that can be chosen.
std::vector<std::unique_ptr<IntScheme>> Schemes() {
  std::vector<std::unique_ptr<IntScheme>> schemes;
  schemes.push_back(MakeAwqScheme({.group = 32}));
  schemes.push_back(MakeGptqScheme({.bits = 4, .group = 32}));
  schemes.push_back(MakeGptqScheme({.bits = 8, .group = 32}));
  schemes.push_back(MakeGptqScheme({.bits = 8, .group = 0}));
  schemes.push_back(MakeInt4Fp8Scheme({.input_scale = 0.25f}));
  schemes.push_back(MakeInt4Fp8Scheme({}));
  schemes.push_back(MakeAscendInt8Scheme(Search::kMse));
  return schemes;
}

uint32_t Word(const Bytes& part, uint64_t i) { return At<uint32_t>(part, i); }

// Codes whose unsigned form is 0, 1, 2, ...
int8_t Unsigned(uint64_t value, int bits) {
  return static_cast<int8_t>(static_cast<int>(value) - (1 << (bits - 1)));
}

TEST(Awq, RowsOfAWordAreInterleaved) {
  const auto scheme = MakeAwqScheme({.group = 32});
  IntValues values(scheme->format(), 16, 32);
  for (uint64_t row = 0; row < 8; ++row) {
    values.codes[row * 32] = Unsigned(row, 4);
    values.zeros[(row + 8)] = Unsigned(7 - row, 4);
  }
  values.scales[3] = 0.5f;
  const auto parts = Packed(*scheme, values);
  EXPECT_EQ(Word(parts[0], 0), 0x75316420u);  // column 0 of rows 0 to 7
  EXPECT_EQ(Word(parts[0], 1), 0x88888888u);  // of rows 8 to 15
  EXPECT_EQ(Word(parts[0], 2), 0x88888888u);  // column 1
  EXPECT_EQ(Word(parts[1], 0), 0x88888888u);
  EXPECT_EQ(Word(parts[1], 1), 0x02461357u);
  EXPECT_EQ(At<uint16_t>(parts[2], 3), 0x3800);
  EXPECT_EQ(At<uint16_t>(parts[2], 4), 0x3C00);
}

TEST(Gptq, ColumnsOfAWordFollowEachOther) {
  const auto scheme = MakeGptqScheme({.bits = 4, .group = 32});
  IntValues values(scheme->format(), 8, 64);
  for (uint64_t k = 0; k < 8; ++k) values.codes[64 + k] = Unsigned(k, 4);  // row 1
  values.scales[2 * 2 + 1] = 0.5f;                                         // row 2, group 1
  const auto parts = Packed(*scheme, values);
  EXPECT_EQ(Word(parts[0], 0), 0x88888888u);
  EXPECT_EQ(Word(parts[0], 1), 0x76543210u);
  EXPECT_EQ(Word(parts[0], 8), 0x88888888u);
  ASSERT_EQ(parts[1].size(), 8u);  // [2, 1]
  EXPECT_EQ(Word(parts[1], 0), 0x77777777u);
  EXPECT_EQ(Word(parts[1], 1), 0x77777777u);
  EXPECT_EQ(At<uint16_t>(parts[2], 8 + 2), 0x3800);
  for (uint64_t k = 0; k < 64; ++k) EXPECT_EQ(At<int32_t>(parts[3], k), k < 32 ? 0 : 1) << k;
}

TEST(Gptq, EightBitsPutFourColumnsInAWord) {
  const auto scheme = MakeGptqScheme({.bits = 8, .group = 32});
  IntValues values(scheme->format(), 4, 32);
  const int8_t codes[] = {-128, -1, 0, 127};
  std::ranges::copy(codes, values.codes.begin() + 4);
  const auto parts = Packed(*scheme, values);
  EXPECT_EQ(Word(parts[0], 4), 0xFF807F00u);
  EXPECT_EQ(Word(parts[1], 0), 0x7F7F7F7Fu);
}

TEST(Int4Fp8, NibblesAreTwosComplementLowFirst) {
  const auto scheme = MakeInt4Fp8Scheme({.input_scale = 1.003f});
  IntValues values(scheme->format(), 2, 128);
  const int8_t codes[] = {-8, 7, -1, 0};
  std::ranges::copy(codes, values.codes.begin());
  const auto parts = Packed(*scheme, values);
  EXPECT_EQ(parts[0][0], std::byte{0x78});
  EXPECT_EQ(parts[0][1], std::byte{0x0F});
  EXPECT_EQ(parts[0][2], std::byte{0x00});
  EXPECT_EQ(At<float>(parts[2], 0), 1.0f) << "of BF16's numbers the nearest";
}

TEST(AscendInt8, OffsetsAreZerosBesideCodesAndScales) {
  const auto scheme = MakeAscendInt8Scheme(Search::kMse);
  IntValues values = RandomInts(scheme->format(), 3, 5, 1);
  const auto parts = Packed(*scheme, values);
  for (uint64_t i = 0; i < 15; ++i) EXPECT_EQ(At<int8_t>(parts[0], i), values.codes[i]);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(At<float>(parts[1], i), values.scales[i]);
  EXPECT_EQ(parts[2], Bytes(12));
}

TEST(VendorSchemes, UnpackingGivesBackWhatWasPacked) {
  for (const auto& scheme : Schemes()) {
    for (const uint64_t rows : {8u, 40u, 136u}) {
      for (const uint64_t cols : {128u, 640u}) {
        SCOPED_TRACE(testing::Message() << scheme->name() << " " << rows << " x " << cols);
        ASSERT_TRUE(scheme->Accepts(rows, cols));
        IntValues values = RandomInts(scheme->format(), rows, cols, 2);
        auto parts = Packed(*scheme, values);
        ValueStats stats;
        EXPECT_EQ(Unpacked(*scheme, parts, rows, cols, stats), values);
        EXPECT_EQ(stats.wrong_constants, 0u);
      }
    }
  }
}

// Rows packed some at a time, in any order, fill the same bytes.
TEST(VendorSchemes, PackingInPiecesGivesTheSameBytes) {
  constexpr uint64_t kRows = 56, kCols = 128;
  for (const auto& scheme : Schemes()) {
    SCOPED_TRACE(scheme->name());
    IntValues values = RandomInts(scheme->format(), kRows, kCols, 3);
    const auto whole = Packed(*scheme, values);
    auto pieces = PartsFor(*scheme, kRows, kCols, {0, kRows});
    for (const RowRange range : {RowRange{32, 56}, {0, 8}, {8, 32}}) {
      IntRows rows = values.View();
      rows.rows = range.size();
      rows.codes = rows.codes.subspan(range.begin * kCols, range.size() * kCols);
      rows.scales = rows.scales.subspan(range.begin * rows.groups, range.size() * rows.groups);
      rows.zeros = rows.zeros.subspan(range.begin * rows.groups, range.size() * rows.groups);
      std::vector<std::span<std::byte>> parts;
      for (size_t i = 0; i < pieces.size(); ++i) {
        const ByteRange bytes = scheme->PartBytes(i, kRows, kCols, range);
        parts.push_back(std::span(pieces[i]).subspan(bytes.begin, bytes.size()));
      }
      scheme->WriteCodes(rows, kRows, kCols, range, parts);
    }
    EXPECT_EQ(pieces, whole);
  }
}

TEST(VendorSchemes, AnyRowsCanBeRead) {
  constexpr uint64_t kRows = 24, kCols = 128;
  for (const auto& scheme : Schemes()) {
    IntValues values = RandomInts(scheme->format(), kRows, kCols, 4);
    auto whole = Packed(*scheme, values);
    for (uint64_t begin = 0; begin < kRows; ++begin) {
      for (uint64_t end = begin + 1; end <= kRows; ++end) {
        SCOPED_TRACE(testing::Message() << scheme->name() << " rows " << begin << " to " << end);
        std::vector<std::span<const std::byte>> parts;
        for (size_t i = 0; i < whole.size(); ++i) {
          const ByteRange bytes = scheme->PartBytes(i, kRows, kCols, {begin, end});
          parts.push_back(std::span(whole[i]).subspan(bytes.begin, bytes.size()));
        }
        IntValues got(scheme->format(), end - begin, kCols);
        ValueStats stats;
        scheme->ReadCodes(parts, kRows, kCols, {begin, end}, got.View(), stats);
        const auto part_of = [&](const auto& all, uint64_t line) {
          return std::remove_cvref_t<decltype(all)>(
              all.begin() + static_cast<ptrdiff_t>(begin * line),
              all.begin() + static_cast<ptrdiff_t>(end * line));
        };
        ASSERT_EQ(got.codes, part_of(values.codes, kCols));
        ASSERT_EQ(got.scales, part_of(values.scales, values.groups));
        ASSERT_EQ(got.zeros, part_of(values.zeros, values.groups));
        ASSERT_EQ(stats.wrong_constants, 0u);
      }
    }
  }
}

TEST(VendorSchemes, EveryTargetPacksTheSameBytes) {
  for (const auto& scheme : Schemes()) {
    IntValues values = RandomInts(scheme->format(), 136, 640, 5);
    const auto want = Packed(*scheme, values);
    for (const SimdTarget target : SupportedTargets()) {
      SCOPED_TRACE(testing::Message() << scheme->name() << " " << target.name());
      const ScopedTarget use(target);
      EXPECT_EQ(Packed(*scheme, values), want);
    }
  }
}

TEST(VendorSchemes, ShapesThatDoNotFillWordsOrGroupsAreRefused) {
  const auto refused = [](const IntScheme& scheme, uint64_t rows, uint64_t cols) {
    const auto accepts = scheme.Accepts(rows, cols);
    return !accepts && accepts.error().code() == ErrorCode::kUnsupported;
  };
  const auto awq = MakeAwqScheme({});
  EXPECT_TRUE(awq->Accepts(576, 7168));
  EXPECT_TRUE(refused(*awq, 12, 128));
  EXPECT_TRUE(refused(*awq, 16, 160));
  EXPECT_TRUE(refused(*awq, 16, 0));
  const auto gptq8 = MakeGptqScheme({.bits = 8, .group = 0});
  EXPECT_TRUE(gptq8->Accepts(12, 100));
  EXPECT_TRUE(refused(*gptq8, 6, 100));
  EXPECT_TRUE(refused(*gptq8, 12, 99));
  EXPECT_TRUE(refused(*MakeInt4Fp8Scheme({}), 16, 64));
  EXPECT_TRUE(MakeAscendInt8Scheme(Search::kMse)->Accepts(3, 5));
}

TEST(Gptq, OnlyWhatEnginesLoadCanBeWritten) {
  for (const GptqArgs args : {GptqArgs{.symmetric = false}, {.zeros = GptqZeros::kPlain}}) {
    const auto accepts = MakeGptqScheme(args)->Accepts(128, 128);
    ASSERT_FALSE(accepts);
    EXPECT_EQ(accepts.error().code(), ErrorCode::kUnsupported);
  }
}

// A weight of zeros, of which part `part` is then overwritten with `value` everywhere.
std::vector<Bytes> Filled(const IntScheme& like, uint64_t rows, size_t part, uint8_t value) {
  IntValues values(like.format(), rows, 64);
  auto parts = Packed(like, values);
  std::ranges::fill(parts[part], std::byte{value});
  return parts;
}

TEST(Gptq, StoredZeroPointsAreReadAsTheirVersionSays) {
  const auto writer = MakeGptqScheme({.group = 32});
  for (int stored = 0; stored < 16; ++stored) {
    auto parts = Filled(*writer, 8, 1, static_cast<uint8_t>(stored * 17));
    for (const GptqZeros zeros : {GptqZeros::kMinusOne, GptqZeros::kPlain}) {
      const int unsigned_zero = zeros == GptqZeros::kPlain ? stored : (stored + 1) % 16;
      const auto asymmetric = MakeGptqScheme({.group = 32, .symmetric = false, .zeros = zeros});
      ValueStats stats;
      const IntValues got = Unpacked(*asymmetric, parts, 8, 64, stats);
      EXPECT_EQ(got.zeros, std::vector<int8_t>(16, static_cast<int8_t>(unsigned_zero - 8)));
      EXPECT_EQ(stats.wrong_constants, 0u);
      const auto symmetric = MakeGptqScheme({.group = 32, .zeros = zeros});
      EXPECT_EQ(Unpacked(*symmetric, parts, 8, 64, stats).zeros, std::vector<int8_t>(16));
      EXPECT_EQ(stats.wrong_constants, unsigned_zero == 8 ? 0u : 16u);
    }
  }
  const auto writer8 = MakeGptqScheme({.bits = 8, .group = 32});
  for (int stored = 0; stored < 256; ++stored) {
    auto parts = Filled(*writer8, 8, 1, static_cast<uint8_t>(stored));
    const auto reader = MakeGptqScheme({.bits = 8, .group = 32, .symmetric = false});
    ValueStats stats;
    EXPECT_EQ(Unpacked(*reader, parts, 8, 64, stats).zeros,
              std::vector<int8_t>(16, static_cast<int8_t>((stored + 1) % 256 - 128)));
  }
}

TEST(VendorSchemes, PartsThatShouldBeConstantAreChecked) {
  struct Case {
    std::unique_ptr<IntScheme> scheme;
    size_t part, byte;
    uint64_t wrong;
  };
  std::vector<Case> cases;
  cases.push_back({MakeGptqScheme({.group = 32}), 3, 4 * 40, 1});     // g_idx of column 40
  cases.push_back({MakeGptqScheme({.group = 32}), 1, 0, 2});          // zero points of rows 0, 1
  cases.push_back({MakeInt4Fp8Scheme({.input_scale = 1}), 2, 3, 1});  // input_scale
  cases.push_back({MakeAscendInt8Scheme(Search::kMse), 2, 7, 1});     // weight_offset of row 1
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::Message() << c.scheme->name() << " part " << c.part);
    IntValues values = RandomInts(c.scheme->format(), 16, 128, 6);
    auto parts = Packed(*c.scheme, values);
    parts[c.part][c.byte] ^= std::byte{0x11};
    ValueStats stats;
    EXPECT_EQ(Unpacked(*c.scheme, parts, 16, 128, stats).codes, values.codes);
    EXPECT_EQ(stats.wrong_constants, c.wrong);
  }
}

// 12 rows leave half of a word over; such files exist, though engines want whole words.
TEST(Awq, RowsThatLeaveAWordUnfilledAreRead) {
  const auto scheme = MakeAwqScheme({.group = 32});
  IntValues values = RandomInts(scheme->format(), 16, 32, 7);
  auto parts = Packed(*scheme, values);
  for (uint64_t row = 12; row < 16; ++row) parts[2].pop_back(), parts[2].pop_back();
  ValueStats stats;
  const IntValues got = Unpacked(*scheme, parts, 12, 32, stats);
  EXPECT_TRUE(std::ranges::equal(got.codes, std::span(values.codes).first(12 * 32)));
  EXPECT_TRUE(std::ranges::equal(got.scales, std::span(values.scales).first(12)));
}

// Values, as the formats' sources give them: (code - zero) * scale.
TEST(VendorSchemes, DecodedValuesAreCodesLessZerosTimesScales) {
  constexpr uint64_t kRows = 16, kCols = 128;
  for (const auto& scheme : Schemes()) {
    IntValues values = RandomInts(scheme->format(), kRows, kCols, 8);
    auto parts = Packed(*scheme, values);
    std::vector<float> got(kRows * kCols), want(kRows * kCols);
    ValueStats stats;
    scheme->DecodeRows(Spans<const std::byte>(parts), kRows, kCols, {0, kRows}, got.data(), stats);
    const uint64_t group = scheme->format().GroupCols(kCols);
    for (uint64_t i = 0; i < want.size(); ++i) {
      const uint64_t g = i / kCols * values.groups + i % kCols / group;
      want[i] = static_cast<float>(values.codes[i] - values.zeros[g]) * values.scales[g];
    }
    EXPECT_TRUE(SameBits(got, want)) << scheme->name();
  }
}

}  // namespace
}  // namespace tessera
