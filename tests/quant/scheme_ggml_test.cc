#include "quant/scheme_ggml.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "quant/ggml_rows.h"
#include "quant/ggml_types.h"
#include "quant/scheme_plain.h"
#include "tests/quant/scheme_parts.h"

namespace tessera {
namespace {

std::vector<float> RandomValues(uint64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> bell(0, 0.02f);
  std::vector<float> values(n);
  for (float& value : values) value = bell(random);
  return values;
}

std::vector<float> RandomWeights(uint64_t n, uint32_t seed) {
  std::vector<float> weights = RandomValues(n, seed);
  for (float& weight : weights) weight *= weight;
  return weights;
}

std::vector<Dtype> AllTypes() {
  std::vector<Dtype> types = {Dtype::kF32, Dtype::kF16, Dtype::kBF16};
  for (const GgmlTypeInfo& info : AllGgmlTypes()) types.push_back(info.type);
  return types;
}

// A row by itself, with nothing of schemes about it.
Bytes RowOf(Dtype dtype, const float* row, uint64_t cols, const float* importance) {
  ValueStats stats;
  if (IsPlainFloat(dtype)) {
    Bytes out(cols * BitsOf(dtype) / 8);
    PlainToPlain(Dtype::kF32, reinterpret_cast<const std::byte*>(row), cols,
                 static_cast<const PlainFloatScheme&>(PlainScheme(dtype)), out.data(), stats);
    return out;
  }
  Bytes out(GgmlRowBytes(dtype, cols));
  QuantizeGgmlRow(dtype, row, cols, importance, out.data());
  return out;
}

std::vector<Bytes> Encode(const Scheme& scheme, const std::vector<float>& values, uint64_t rows,
                          uint64_t cols, ValueStats& stats) {
  std::vector<Bytes> parts = PartsFor(scheme, rows, cols, {0, rows});
  scheme.EncodeRows(values.data(), rows, cols, {0, rows}, Spans<std::byte>(parts), stats);
  return parts;
}

TEST(GgmlMatrixScheme, RowsAreThoseOfTheQuantizersWhateverTheTile) {
  constexpr uint64_t kRows = 5, kCols = 512;
  const std::vector<float> values = RandomValues(kRows * kCols, 1);
  const std::vector<float> importance = RandomWeights(kCols, 2);
  for (const Dtype dtype : AllTypes()) {
    const GgmlScheme& plain = GgmlMatrixScheme(dtype);
    const std::span<const float> by_part[] = {importance};
    const std::unique_ptr<Scheme> weighed = plain.Weighed(by_part);
    for (const Scheme* scheme : std::initializer_list<const Scheme*>{&plain, weighed.get()}) {
      Bytes want;
      for (uint64_t row = 0; row < kRows; ++row) {
        const Bytes bytes = RowOf(dtype, values.data() + row * kCols, kCols,
                                  scheme == &plain ? nullptr : importance.data());
        want.insert(want.end(), bytes.begin(), bytes.end());
      }
      for (uint64_t begin = 0; begin < kRows; ++begin) {
        for (uint64_t end = begin; end <= kRows; ++end) {
          ValueStats stats;
          std::vector<Bytes> parts = PartsFor(*scheme, kRows, kCols, {begin, end});
          scheme->EncodeRows(values.data() + begin * kCols, kRows, kCols, {begin, end},
                             Spans<std::byte>(parts), stats);
          const ByteRange range = scheme->PartBytes(0, kRows, kCols, {begin, end});
          EXPECT_EQ(parts[0], Bytes(want.begin() + static_cast<ptrdiff_t>(range.begin),
                                    want.begin() + static_cast<ptrdiff_t>(range.end)))
              << Name(dtype) << " rows " << begin << " to " << end;
          EXPECT_EQ(stats.not_finite + stats.infinite_scales + stats.f16_overflows, 0u);
        }
      }
    }
  }
}

TEST(GgmlMatrixScheme, DecodesWhatTheTypeDecodesTo) {
  constexpr uint64_t kRows = 3, kCols = 256;
  const std::vector<float> values = RandomValues(kRows * kCols, 3);
  for (const Dtype dtype : AllTypes()) {
    const Scheme& scheme = GgmlMatrixScheme(dtype);
    ValueStats stats;
    std::vector<Bytes> parts = Encode(scheme, values, kRows, kCols, stats);
    std::vector<float> decoded(kRows * kCols), want(kRows * kCols);
    scheme.DecodeRows(Spans<const std::byte>(parts), kRows, kCols, {0, kRows}, decoded.data(),
                      stats);
    if (IsPlainFloat(dtype)) {
      PlainToF32(dtype, parts[0].data(), want.size(), want.data());
    } else {
      DequantizeGgmlRow(dtype, parts[0].data(), want.size(), want.data());
    }
    EXPECT_EQ(decoded, want) << Name(dtype);
  }
}

TEST(GgmlMatrixScheme, CountsWhatNoTypeCanStore) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const Dtype dtype : AllTypes()) {
    for (const float bad : {kInf, -kInf, kNan}) {
      std::vector<float> values = RandomValues(512, 4);
      values[511] = bad;
      ValueStats stats;
      Encode(GgmlMatrixScheme(dtype), values, 2, 256, stats);
      EXPECT_EQ(stats.not_finite, 1u) << Name(dtype) << " " << bad;
    }
    // Beyond any F16 scale, within F32.
    std::vector<float> values = RandomValues(512, 5);
    values[300] = 3e38f;
    ValueStats stats;
    Encode(GgmlMatrixScheme(dtype), values, 2, 256, stats);
    const bool wide = dtype == Dtype::kF32 || dtype == Dtype::kBF16 || dtype == Dtype::kMxfp4;
    EXPECT_EQ(stats.infinite_scales + stats.f16_overflows, wide ? 0u : 1u) << Name(dtype);
    EXPECT_EQ(stats.not_finite, 0u) << Name(dtype);
  }
}

TEST(GgmlMatrixScheme, WantsWholeBlocks) {
  for (const Dtype dtype : AllTypes()) {
    const uint64_t block = Info(dtype).block;
    const Scheme& scheme = GgmlMatrixScheme(dtype);
    EXPECT_TRUE(scheme.Accepts(1, 2 * block)) << Name(dtype);
    if (block != 1) {
      EXPECT_FALSE(scheme.Accepts(1, block + block / 2)) << Name(dtype);
    }
  }
}

constexpr GgmlKvBArgs kHeads = {
    .heads = 3, .nope = 32, .v = 64, .k_type = Dtype::kF32, .v_type = Dtype::kF32};
constexpr uint64_t kKvRows = 3 * (32 + 64), kLora = 256;

TEST(GgmlKvBScheme, SplitsEveryHeadAndTransposesItsKeys) {
  const std::unique_ptr<GgmlScheme> scheme = MakeGgmlKvBScheme(kHeads);
  const std::vector<float> values = RandomValues(kKvRows * kLora, 6);
  ValueStats stats;
  const std::vector<Bytes> parts = Encode(*scheme, values, kKvRows, kLora, stats);
  ASSERT_EQ(parts[0].size(), 3 * kLora * 32 * sizeof(float));
  ASSERT_EQ(parts[1].size(), 3 * 64 * kLora * sizeof(float));
  for (uint64_t head = 0; head < 3; ++head) {
    for (uint64_t column = 0; column < kLora; ++column) {
      for (uint64_t j = 0; j < 96; ++j) {
        const float value = values[(head * 96 + j) * kLora + column];
        const float stored = j < 32 ? At<float>(parts[0], (head * kLora + column) * 32 + j)
                                    : At<float>(parts[1], (head * 64 + j - 32) * kLora + column);
        ASSERT_EQ(stored, value) << "head " << head << " row " << j << " column " << column;
      }
    }
  }
}

TEST(GgmlKvBScheme, EncodesHeadsAndDecodesRowsInAnyRange) {
  GgmlKvBArgs args = kHeads;
  args.k_type = Dtype::kQ8_0;
  args.v_type = Dtype::kQ4_K;
  const std::unique_ptr<GgmlScheme> scheme = MakeGgmlKvBScheme(args);
  const std::vector<float> values = RandomValues(kKvRows * kLora, 7);
  ValueStats stats;
  std::vector<Bytes> whole = Encode(*scheme, values, kKvRows, kLora, stats);
  std::vector<float> want(values.size());
  scheme->DecodeRows(Spans<const std::byte>(whole), kKvRows, kLora, {0, kKvRows}, want.data(),
                     stats);
  const auto cut = [&](RowRange range) {
    std::vector<Bytes> parts;
    for (size_t part = 0; part < 2; ++part) {
      const ByteRange bytes = scheme->PartBytes(part, kKvRows, kLora, range);
      parts.emplace_back(whole[part].begin() + static_cast<ptrdiff_t>(bytes.begin),
                         whole[part].begin() + static_cast<ptrdiff_t>(bytes.end));
    }
    return parts;
  };
  for (uint64_t begin = 0; begin <= kKvRows; begin += 5) {
    for (uint64_t end = begin; end <= kKvRows; end += 7) {
      std::vector<Bytes> parts = cut({begin, end});
      std::vector<float> decoded((end - begin) * kLora);
      scheme->DecodeRows(Spans<const std::byte>(parts), kKvRows, kLora, {begin, end},
                         decoded.data(), stats);
      ASSERT_TRUE(
          std::ranges::equal(decoded, std::span(want).subspan(begin * kLora, decoded.size())))
          << "rows " << begin << " to " << end;
    }
  }
  for (uint64_t head = 0; head < 3; ++head) {
    const RowRange rows{head * 96, head * 96 + 96};
    std::vector<Bytes> parts = PartsFor(*scheme, kKvRows, kLora, rows);
    scheme->EncodeRows(values.data() + rows.begin * kLora, kKvRows, kLora, rows,
                       Spans<std::byte>(parts), stats);
    EXPECT_EQ(parts, cut(rows)) << "head " << head;
  }
}

TEST(GgmlKvBScheme, EveryHeadHasItsOwnImportance) {
  GgmlKvBArgs args = kHeads;
  args.k_type = Dtype::kQ5_0;
  args.v_type = Dtype::kQ4_K;
  const std::unique_ptr<GgmlScheme> scheme = MakeGgmlKvBScheme(args);
  const std::vector<float> values = RandomValues(kKvRows * kLora, 8);
  const std::vector<float> k = RandomWeights(3 * 32, 9), v = RandomWeights(3 * kLora, 10);
  ValueStats stats;
  for (const bool with_k : {false, true}) {
    const std::span<const float> importance[] = {with_k ? std::span(k) : std::span<const float>(),
                                                 v};
    const std::vector<Bytes> parts =
        Encode(*scheme->Weighed(importance), values, kKvRows, kLora, stats);
    Bytes want_k, want_v;
    for (uint64_t head = 0; head < 3; ++head) {
      const float* in = values.data() + head * 96 * kLora;
      for (uint64_t column = 0; column < kLora; ++column) {
        std::vector<float> row(32);
        for (uint64_t j = 0; j < 32; ++j) row[j] = in[j * kLora + column];
        const Bytes bytes =
            RowOf(args.k_type, row.data(), 32, with_k ? k.data() + head * 32 : nullptr);
        want_k.insert(want_k.end(), bytes.begin(), bytes.end());
      }
      for (uint64_t j = 0; j < 64; ++j) {
        const Bytes bytes =
            RowOf(args.v_type, in + (32 + j) * kLora, kLora, v.data() + head * kLora);
        want_v.insert(want_v.end(), bytes.begin(), bytes.end());
      }
    }
    EXPECT_EQ(parts[0], want_k);
    EXPECT_EQ(parts[1], want_v);
  }
}

}  // namespace
}  // namespace tessera
