#include "quant/repack.h"

#include <gtest/gtest.h>

#include "quant/scheme_ascend_int8.h"
#include "quant/scheme_awq.h"
#include "quant/scheme_gptq.h"
#include "quant/scheme_int4_fp8.h"
#include "tests/quant/int_values.h"

namespace tessera {
namespace {

constexpr uint64_t kRows = 264, kCols = 256;

// What `to` holds after `values` went there from `from`.
IntValues Repacked(const IntScheme& from, const IntScheme& to, IntValues& values,
                   ValueStats& stats) {
  auto source = Packed(from, values);
  auto target = PartsFor(to, values.rows, values.cols, {0, values.rows});
  Repack(from, Spans<const std::byte>(source), to, Spans<std::byte>(target), values.rows,
         values.cols, {0, values.rows}, stats);
  return Unpacked(to, target, values.rows, values.cols, stats);
}

void ExpectLossless(const IntScheme& from, const IntScheme& to) {
  SCOPED_TRACE(testing::Message() << from.name() << " to " << to.name());
  ASSERT_TRUE(CanRepack(from, to, kRows, kCols));
  IntValues values = RandomInts(from.format(), kRows, kCols, 1);
  ValueStats stats;
  EXPECT_EQ(Repacked(from, to, values, stats), values);
  EXPECT_EQ(stats.lossy_scales, 0u);
  EXPECT_EQ(stats.wrong_constants, 0u);
}

bool Refused(const IntScheme& from, const IntScheme& to, uint64_t rows = kRows,
             uint64_t cols = kCols) {
  const auto can = CanRepack(from, to, rows, cols);
  return !can && can.error().code() == ErrorCode::kUnsupported;
}

TEST(Repack, KeepsEveryCodeZeroPointAndScale) {
  const auto awq = MakeAwqScheme({}), awq_row = MakeAwqScheme({.group = 0});
  const auto gptq4 = MakeGptqScheme({}), int4_fp8 = MakeInt4Fp8Scheme({.input_scale = 1.0f});
  const auto gptq8 = MakeGptqScheme({.bits = 8, .group = 0});
  const auto ascend = MakeAscendInt8Scheme(Search::kMse);
  ExpectLossless(*awq, *awq);
  ExpectLossless(*gptq4, *awq);  // zero points all in the middle
  ExpectLossless(*gptq4, *int4_fp8);
  ExpectLossless(*int4_fp8, *gptq4);
  ExpectLossless(*int4_fp8, *awq);
  ExpectLossless(*gptq8, *ascend);
  ExpectLossless(*ascend, *gptq8);
  ExpectLossless(*awq_row, *awq_row);
}

TEST(Repack, IsRefusedWhereIntegersMeanSomethingElse) {
  const auto awq = MakeAwqScheme({}), gptq4 = MakeGptqScheme({});
  EXPECT_TRUE(Refused(*awq, *gptq4)) << "zero points";
  EXPECT_TRUE(Refused(*gptq4, *MakeGptqScheme({.bits = 8}))) << "bits";
  EXPECT_TRUE(Refused(*gptq4, *MakeAwqScheme({.group = 64}))) << "groups";
  EXPECT_TRUE(Refused(*MakeAwqScheme({}), *MakeGptqScheme({.symmetric = false}))) << "unwritable";
  EXPECT_TRUE(Refused(*gptq4, *awq, 12, 128)) << "shape";
  // A scale for 256 columns of 256 is one for the row.
  EXPECT_TRUE(CanRepack(*MakeGptqScheme({.group = 256}), *MakeAwqScheme({.group = 0}), 8, 256));
  EXPECT_TRUE(Refused(*MakeGptqScheme({.group = 256}), *MakeAwqScheme({.group = 0}), 8, 512));
}

TEST(Repack, ScalesThatTheTargetsTypeDoesNotHoldAreCounted) {
  const auto from = MakeInt4Fp8Scheme({}), to = MakeGptqScheme({});
  IntValues values = RandomInts(from->format(), 16, 256, 2);
  const float lossy[] = {0x1.002p-3f,  // a bit beyond F16's
                         65536.0f, 0x1p-25f, HUGE_VALF, NAN};
  for (const float scale : lossy) {
    IntValues one = values;
    one.scales[5] = scale;
    ValueStats stats;
    Repacked(*from, *to, one, stats);
    EXPECT_EQ(stats.lossy_scales, 1u) << scale;
  }
  const float exact[] = {0x1.004p-3f, 65504.0f, 0x1p-24f, 0.0f, -0.5f};
  for (const float scale : exact) {
    IntValues one = values;
    one.scales[5] = scale;
    ValueStats stats;
    EXPECT_EQ(Repacked(*from, *to, one, stats), one);
    EXPECT_EQ(stats.lossy_scales, 0u) << scale;
  }
}

TEST(Repack, PiecesOfAWeightGiveTheSameBytesAsTheWhole) {
  const auto from = MakeInt4Fp8Scheme({.input_scale = 1.0f}), to = MakeGptqScheme({});
  IntValues values = RandomInts(from->format(), kRows, kCols, 3);
  auto source = Packed(*from, values);
  auto whole = PartsFor(*to, kRows, kCols, {0, kRows}), pieces = whole;
  ValueStats stats;
  Repack(*from, Spans<const std::byte>(source), *to, Spans<std::byte>(whole), kRows, kCols,
         {0, kRows}, stats);
  for (const RowRange range : {RowRange{0, 128}, {128, 136}, {136, kRows}}) {
    std::vector<std::span<const std::byte>> in;
    std::vector<std::span<std::byte>> out;
    for (size_t i = 0; i < source.size(); ++i) {
      const ByteRange bytes = from->PartBytes(i, kRows, kCols, range);
      in.push_back(std::span(source[i]).subspan(bytes.begin, bytes.size()));
    }
    for (size_t i = 0; i < pieces.size(); ++i) {
      const ByteRange bytes = to->PartBytes(i, kRows, kCols, range);
      out.push_back(std::span(pieces[i]).subspan(bytes.begin, bytes.size()));
    }
    Repack(*from, in, *to, out, kRows, kCols, range, stats);
  }
  EXPECT_EQ(pieces, whole);
}

}  // namespace
}  // namespace tessera
