// What holds for every scheme of integers.
#include "quant/int_scheme.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "quant/int_rows.h"
#include "quant/kernels/target.h"
#include "tests/quant/int_scheme_cases.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

using Parts = std::vector<std::vector<std::byte>>;

constexpr uint64_t kCols = 384;

template <class Byte>
std::vector<std::span<Byte>> Spans(Parts& parts) {
  return {parts.begin(), parts.end()};
}

Parts PartsFor(const Scheme& scheme, uint64_t rows, uint64_t cols, RowRange range) {
  Parts parts;
  for (size_t i = 0; i < scheme.Parts(rows, cols).size(); ++i) {
    parts.emplace_back(scheme.PartBytes(i, rows, cols, range).size(), std::byte{0xA5});
  }
  return parts;
}

struct Encoded {
  Parts parts;
  ValueStats stats;
};

Encoded Encode(const Scheme& scheme, const std::vector<float>& in, uint64_t rows, uint64_t cols) {
  Encoded out{PartsFor(scheme, rows, cols, {0, rows}), {}};
  scheme.EncodeRows(in.data(), rows, cols, {0, rows}, Spans<std::byte>(out.parts), out.stats);
  return out;
}

std::vector<float> Decode(const Scheme& scheme, Parts& parts, uint64_t rows, uint64_t cols) {
  std::vector<float> out(rows * cols);
  ValueStats stats;
  scheme.DecodeRows(Spans<const std::byte>(parts), rows, cols, {0, rows}, out.data(), stats);
  EXPECT_EQ(stats.wrong_constants, 0u);
  return out;
}

std::vector<float> RandomMatrix(std::mt19937& random, uint64_t rows, uint64_t cols) {
  std::student_t_distribution<float> heavy(5.0f);
  std::vector<float> matrix(rows * cols);
  for (float& x : matrix) x = 0.02f * heavy(random);
  return matrix;
}

// Calls test(scheme) for every scheme under every search.
void ForEachScheme(const std::function<void(const IntScheme&)>& test) {
  for (const IntSchemeCase& each : IntSchemeCases()) {
    for (const Search search : AllSearches()) {
      SCOPED_TRACE(each.name + " search " + std::to_string(static_cast<int>(search)));
      test(*each.make(search));
    }
  }
}

// The parts of `rows` rows encoded `tile` rows at a time, each tile with buffers of its own unless
// the scheme's parts are whole.
Encoded EncodeTiles(const IntScheme& scheme, const std::vector<float>& in, uint64_t rows,
                    uint64_t cols, uint64_t tile) {
  Encoded out{PartsFor(scheme, rows, cols, {0, rows}), {}};
  for (uint64_t begin = 0; begin < rows; begin += tile) {
    const RowRange range{begin, std::min(begin + tile, rows)};
    std::vector<std::span<std::byte>> within;
    for (size_t i = 0; i < out.parts.size(); ++i) {
      const ByteRange bytes = scheme.PartBytes(i, rows, cols, range);
      within.push_back(std::span(out.parts[i]).subspan(bytes.begin, bytes.size()));
    }
    scheme.EncodeRows(in.data() + begin * cols, rows, cols, range, within, out.stats);
  }
  return out;
}

TEST(IntScheme, PartsHaveTheBytesTheyDeclare) {
  ForEachScheme([](const IntScheme& scheme) {
    for (const uint64_t rows : {1u, 8u, 57u, 576u}) {
      const auto parts = scheme.Parts(rows, kCols);
      for (size_t i = 0; i < parts.size(); ++i) {
        const auto info = TensorInfo::Make("t", parts[i].dtype, parts[i].shape);
        ASSERT_TRUE(info.has_value());
        EXPECT_EQ(scheme.PartBytes(i, rows, kCols, {0, rows}), (ByteRange{0, info->bytes()}))
            << parts[i].suffix;
      }
      // Words of AWQ and GPTQ's zero points are 32 bits of eight rows, or four.
      EXPECT_EQ(scheme.Accepts(rows, kCols).has_value(),
                !scheme.is_whole() || rows % scheme.row_quantum() == 0);
    }
  });
}

TEST(IntScheme, TileBordersChangeNothing) {
  std::mt19937 random(31);
  constexpr uint64_t kRows = 304;
  const auto in = RandomMatrix(random, kRows, kCols);
  ForEachScheme([&](const IntScheme& scheme) {
    Encoded whole = Encode(scheme, in, kRows, kCols);
    const auto values = Decode(scheme, whole.parts, kRows, kCols);
    for (const uint64_t quanta : {1u, 2u, 5u}) {
      const uint64_t tile = quanta * scheme.row_quantum();
      const Encoded tiled = EncodeTiles(scheme, in, kRows, kCols, tile);
      EXPECT_EQ(tiled.parts, whole.parts);
      EXPECT_EQ(tiled.stats.quality.noise, whole.stats.quality.noise);
      EXPECT_EQ(tiled.stats.quality.worst_row.row, whole.stats.quality.worst_row.row);
    }
    for (const RowRange range : {RowRange{0, 1}, {7, 9}, {3, 200}, {303, 304}}) {
      std::vector<std::span<const std::byte>> within;
      for (size_t i = 0; i < whole.parts.size(); ++i) {
        const ByteRange bytes = scheme.PartBytes(i, kRows, kCols, range);
        within.push_back(std::span(whole.parts[i]).subspan(bytes.begin, bytes.size()));
      }
      std::vector<float> got(range.size() * kCols);
      ValueStats stats;
      scheme.DecodeRows(within, kRows, kCols, range, got.data(), stats);
      const auto first = values.begin() + static_cast<ptrdiff_t>(range.begin * kCols);
      EXPECT_TRUE(SameBits(got, {first, first + static_cast<ptrdiff_t>(got.size())}));
    }
  });
}

TEST(IntScheme, EveryTargetGivesTheBytesOfTheScalarReference) {
  std::mt19937 random(32);
  constexpr uint64_t kRows = 24;
  const auto in = RandomMatrix(random, kRows, kCols);
  ForEachScheme([&](const IntScheme& scheme) {
    const IntBuffer buffer(scheme.format(), kRows, kCols);
    Encoded want{PartsFor(scheme, kRows, kCols, {0, kRows}), {}};
    QuantizeRows(scheme.format(), scheme.search(), in.data(), 0, buffer.rows(), want.stats,
                 kReferenceMath);
    scheme.WriteCodes(buffer.rows(), kRows, kCols, {0, kRows}, Spans<std::byte>(want.parts));
    for (const SimdTarget target : SupportedTargets()) {
      const ScopedTarget use(target);
      const Encoded got = Encode(scheme, in, kRows, kCols);
      EXPECT_EQ(got.parts, want.parts) << target.name();
      EXPECT_EQ(got.stats.quality.noise, want.stats.quality.noise) << target.name();
      EXPECT_EQ(got.stats.quality.cross, want.stats.quality.cross) << target.name();
      EXPECT_EQ(got.stats.quality.saturated, want.stats.quality.saturated) << target.name();
    }
  });
}

TEST(IntScheme, CodesThatAreReadAndWrittenAgainAreTheSameBytes) {
  std::mt19937 random(33);
  constexpr uint64_t kRows = 56;
  const auto in = RandomMatrix(random, kRows, kCols);
  ForEachScheme([&](const IntScheme& scheme) {
    Encoded stored = Encode(scheme, in, kRows, kCols);
    const IntBuffer buffer(scheme.format(), kRows, kCols);
    ValueStats stats;
    scheme.ReadCodes(Spans<const std::byte>(stored.parts), kRows, kCols, {0, kRows}, buffer.rows(),
                     stats);
    Parts again = PartsFor(scheme, kRows, kCols, {0, kRows});
    scheme.WriteCodes(buffer.rows(), kRows, kCols, {0, kRows}, Spans<std::byte>(again));
    EXPECT_EQ(again, stored.parts);
  });
}

TEST(IntScheme, QualityIsWhatDecodingShows) {
  std::mt19937 random(34);
  constexpr uint64_t kRows = 40;
  auto in = RandomMatrix(random, kRows, kCols);
  in[17 * kCols + 5] = 3;  // ruins its group, and its row
  ForEachScheme([&](const IntScheme& scheme) {
    Encoded stored = Encode(scheme, in, kRows, kCols);
    const auto out = Decode(scheme, stored.parts, kRows, kCols);
    double signal = 0, noise = 0, cross = 0, quantized = 0;
    std::vector<double> row_signal(kRows), row_noise(kRows);
    for (uint64_t i = 0; i < in.size(); ++i) {
      const double x = in[i], q = out[i];
      signal += x * x;
      noise += (x - q) * (x - q);
      cross += x * q;
      quantized += q * q;
      row_signal[i / kCols] += x * x;
      row_noise[i / kCols] += (x - q) * (x - q);
    }
    const IntQuality& quality = stored.stats.quality;
    EXPECT_EQ(quality.weights, in.size());
    EXPECT_NEAR(quality.signal / signal, 1, 1e-5);
    EXPECT_NEAR(quality.noise / noise, 1, 1e-4);
    EXPECT_NEAR(quality.cross / cross, 1, 1e-5);
    EXPECT_NEAR(quality.quantized / quantized, 1, 1e-5);
    const auto worst = quality.worst_row;
    EXPECT_NEAR(worst.noise / row_noise[worst.row], 1, 1e-4);
    for (uint64_t row = 0; row < kRows; ++row) {
      EXPECT_LE(row_noise[row] / row_signal[row], worst.noise / worst.signal * 1.0001) << row;
    }
  });
}

// BF16 quotients of 128 and more, and zeros added to them, are whole numbers: two more halves.
TEST(IntScheme, NoValueIsFurtherThanTwoStepsUnderAbsMax) {
  std::mt19937 random(35);
  constexpr uint64_t kRows = 24;
  const auto in = RandomMatrix(random, kRows, kCols);
  for (const IntSchemeCase& each : IntSchemeCases()) {
    const auto scheme = each.make(Search::kAbsMax);
    Encoded stored = Encode(*scheme, in, kRows, kCols);
    const IntBuffer buffer(scheme->format(), kRows, kCols);
    ValueStats stats;
    scheme->ReadCodes(Spans<const std::byte>(stored.parts), kRows, kCols, {0, kRows}, buffer.rows(),
                      stats);
    const auto out = Decode(*scheme, stored.parts, kRows, kCols);
    const uint64_t group = scheme->format().GroupCols(kCols);
    for (uint64_t i = 0; i < in.size(); ++i) {
      const float step = buffer.rows().scales[i / kCols * buffer.rows().groups + i % kCols / group];
      ASSERT_LE(std::fabs(in[i] - out[i]), 2 * step) << each.name << " " << i;
    }
  }
}

TEST(IntScheme, ASearchIsNeverWorseThanUpstreamsAbsMax) {
  std::mt19937 random(36);
  constexpr uint64_t kRows = 16;
  for (int round = 0; round < 4; ++round) {
    auto in = RandomMatrix(random, kRows, kCols);
    if (round == 1) std::ranges::fill(std::span(in).first(kCols), 0.01f);
    if (round == 2) in[100] = 50;
    if (round == 3) {
      for (float& x : in) x = std::fabs(x);
    }
    for (const IntSchemeCase& each : IntSchemeCases()) {
      const double absmax =
          Encode(*each.make(Search::kAbsMax), in, kRows, kCols).stats.quality.noise;
      const double mse = Encode(*each.make(Search::kMse), in, kRows, kCols).stats.quality.noise;
      const double both =
          Encode(*each.make(Search::kMseSigned), in, kRows, kCols).stats.quality.noise;
      EXPECT_LE(mse, absmax * (1 + 1e-6)) << each.name;
      EXPECT_LE(both, absmax * (1 + 1e-6)) << each.name;
    }
  }
}

TEST(IntScheme, ZerosOutliersAndSubnormalsGiveFiniteScalesAndValues) {
  constexpr uint64_t kRows = 16;
  std::vector<std::pair<std::string, std::vector<float>>> matrices;
  std::mt19937 random(37);
  const auto ordinary = RandomMatrix(random, kRows, kCols);
  const auto scaled = [&](float by) {
    auto matrix = ordinary;
    for (float& x : matrix) x *= by;
    return matrix;
  };
  matrices.emplace_back("zeros", std::vector<float>(kRows * kCols));
  matrices.emplace_back("one outlier", ordinary);
  matrices.back().second[7] = 30000.0f;  // F16 holds twice that, for max - min
  matrices.emplace_back("normal, subnormal scales", scaled(1e-36f));
  matrices.emplace_back("subnormal", scaled(1e-40f));
  matrices.emplace_back("one least value", std::vector<float>(kRows * kCols));
  matrices.back().second[3] = -0x1p-149f;
  matrices.emplace_back("minus zeros", std::vector<float>(kRows * kCols, -0.0f));
  ForEachScheme([&](const IntScheme& scheme) {
    for (const auto& [name, in] : matrices) {
      SCOPED_TRACE(name);
      Encoded stored = Encode(scheme, in, kRows, kCols);
      EXPECT_EQ(stored.stats.not_finite, 0u);
      EXPECT_TRUE(std::isfinite(stored.stats.quality.noise));
      const IntBuffer buffer(scheme.format(), kRows, kCols);
      ValueStats stats;
      scheme.ReadCodes(Spans<const std::byte>(stored.parts), kRows, kCols, {0, kRows},
                       buffer.rows(), stats);
      for (const float scale : buffer.rows().scales) {
        ASSERT_TRUE(std::isfinite(scale) && scale != 0) << scale;
      }
      const auto out = Decode(scheme, stored.parts, kRows, kCols);
      for (uint64_t i = 0; i < out.size(); ++i) {
        ASSERT_TRUE(std::isfinite(out[i]));
        ASSERT_TRUE(name.find("zeros") == std::string::npos || out[i] == 0.0f);
      }
    }
  });
}

TEST(IntScheme, WhatIsNotFiniteIsCountedAndBecomesZero) {
  constexpr uint64_t kRows = 16;
  std::mt19937 random(38);
  const auto ordinary = RandomMatrix(random, kRows, kCols);
  ForEachScheme([&](const IntScheme& scheme) {
    auto in = ordinary;
    in[5] = NAN;
    in[kCols + 383] = INFINITY;
    in[9 * kCols] = -INFINITY;
    in[10 * kCols] = 3.4e38f;  // BF16 would round it to infinity
    Encoded stored = Encode(scheme, in, kRows, kCols);
    EXPECT_EQ(stored.stats.not_finite, 4u);
    const auto out = Decode(scheme, stored.parts, kRows, kCols);
    EXPECT_EQ(out[5], 0.0f);
    EXPECT_EQ(out[0], 0.0f);
    for (const float x : out) ASSERT_TRUE(std::isfinite(x));
  });
}

}  // namespace
}  // namespace tessera
