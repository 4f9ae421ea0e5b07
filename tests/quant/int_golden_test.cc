// Against compressed-tensors' own codes; tests/golden/README.md says how they were made.
#include <gtest/gtest.h>

#include "quant/int_rows.h"
#include "quant/kernels/target.h"
#include "quant/scheme_int.h"
#include "tests/quant/golden_file.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

constexpr uint64_t kRows = 32, kCols = 256;

struct Case {
  std::string name;
  std::shared_ptr<const IntScheme> scheme;
};

std::vector<Case> Cases() {
  const auto packed = [](int bits, uint64_t group, bool symmetric) {
    return MakeCtPackedScheme(
        {.bits = bits, .group = group, .symmetric = symmetric, .search = Search::kAbsMax});
  };
  return {{"w4a16-g128", packed(4, 128, true)},
          {"w4a16-g32", packed(4, 32, true)},
          {"w4a16-channel", packed(4, 0, true)},
          {"w4a16-asym", packed(4, 128, false)},
          {"w8a16-channel", packed(8, 0, true)},
          {"w8a16-asym", packed(8, 128, false)},
          {"w8a8", MakeCtInt8Scheme(Search::kAbsMax, Dtype::kBF16)}};
}

std::vector<std::vector<std::byte>> GoldenParts(const Case& c) {
  std::vector<std::vector<std::byte>> parts;
  for (const PartSpec& part : c.scheme->Parts(kRows, kCols)) {
    parts.push_back(GoldenFile<std::byte>("int/" + c.name + part.suffix + ".bin"));
  }
  return parts;
}

TEST(IntGolden, AbsMaxGivesTheBytesOfCompressedTensorsOnEveryTarget) {
  const auto rows = GoldenFile<std::byte>("int/rows.bf16.bin");
  ASSERT_EQ(rows.size(), kRows * kCols * 2);
  for (const Case& c : Cases()) {
    const auto want = GoldenParts(c);
    for (const SimdTarget target : SupportedTargets()) {
      const ScopedTarget use(target);
      std::vector<std::vector<std::byte>> got;
      for (const auto& part : want) got.emplace_back(part.size());
      const std::vector<std::span<std::byte>> parts(got.begin(), got.end());
      const std::vector<std::span<const std::byte>> source = {rows};
      ValueStats stats;
      Transcode(PlainScheme(Dtype::kBF16), source, *c.scheme, parts, kRows, kCols, {0, kRows},
                stats);
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_TRUE(SameBits(got[i], want[i])) << c.name << " " << target.name() << " part " << i;
      }
      EXPECT_EQ(stats.not_finite, 0u);
    }
  }
}

TEST(IntGolden, DecodingGivesTheValuesThatCompressedTensorsReadsBack) {
  for (const Case& c : Cases()) {
    const auto stored = GoldenParts(c);
    const std::vector<std::span<const std::byte>> parts(stored.begin(), stored.end());
    std::vector<uint16_t> got(kRows * kCols);
    const std::vector<std::span<std::byte>> target = {std::as_writable_bytes(std::span(got))};
    ValueStats stats;
    Transcode(*c.scheme, parts, PlainScheme(Dtype::kBF16), target, kRows, kCols, {0, kRows}, stats);
    EXPECT_TRUE(SameBits(got, GoldenFile<uint16_t>("int/" + c.name + ".decompressed.bin")))
        << c.name;
    EXPECT_EQ(stats.wrong_constants, 0u);
  }
}

struct Rule {
  std::string name;
  IntFormat format;
};

std::vector<Rule> Rules() {
  const auto awq = AbsMaxRule::kAutoAwq, gptq = AbsMaxRule::kGptq;
  return {{"awq", {.symmetric = false, .scale = Dtype::kF16, .rule = awq}},
          {"gptq4", {.scale = Dtype::kF16, .rule = gptq}},
          {"gptq8", {.bits = 8, .scale = Dtype::kF16, .rule = gptq}},
          {"int8-row", {.bits = 8, .group = 0, .scale = Dtype::kF32, .rule = AbsMaxRule::kInt8Row}},
          {"int8-block",
           {.bits = 8, .group_rows = 8, .scale = Dtype::kF32, .rule = AbsMaxRule::kInt8Block}},
          {"int4-fp8", {.scale = Dtype::kF32, .rule = AbsMaxRule::kInt4Fp8}}};
}

TEST(IntGolden, EachRuleGivesTheCodesOfItsArithmeticInPyTorchOnEveryTarget) {
  const auto bits = GoldenFile<uint16_t>("int/moderate.bf16.bin");
  std::vector<float> rows;
  for (const uint16_t b : bits) rows.push_back(FromBits(uint32_t{b} << 16));
  const uint64_t count = rows.size() / kCols;
  for (const Rule& rule : Rules()) {
    for (const SimdTarget target : SupportedTargets()) {
      SCOPED_TRACE(rule.name + " " + std::string(target.name()));
      const ScopedTarget use(target);
      const IntBuffer got(rule.format, count, kCols);
      ValueStats stats;
      QuantizeRows(rule.format, Search::kAbsMax, rows.data(), 0, got.rows(), stats);
      const auto same = [](auto span, const auto& want) {
        return SameBits(std::decay_t<decltype(want)>(span.begin(), span.end()), want);
      };
      EXPECT_TRUE(same(got.rows().scales, GoldenFile<float>("int/" + rule.name + ".scales.bin")));
      EXPECT_TRUE(same(got.rows().zeros, GoldenFile<int8_t>("int/" + rule.name + ".zeros.bin")));
      EXPECT_TRUE(same(got.rows().codes, GoldenFile<int8_t>("int/" + rule.name + ".codes.bin")));
    }
  }
}

}  // namespace
}  // namespace tessera
