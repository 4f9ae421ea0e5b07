#include "quant/scheme.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "quant/reference.h"
#include "tests/quant/same_bits.h"
#include "tests/quant/scheme_parts.h"

namespace tessera {
namespace {

// A stored matrix of random bytes; scales are ordinary numbers, or the decoding would be all NaN.
std::vector<Bytes> RandomStored(const Scheme& scheme, uint64_t rows, uint64_t cols,
                                std::mt19937& random) {
  std::vector<Bytes> parts = PartsFor(scheme, rows, cols, {0, rows});
  for (Bytes& part : parts) {
    for (std::byte& b : part) b = static_cast<std::byte>(random());
  }
  if (parts.size() == 1) return parts;
  if (scheme.Parts(rows, cols)[1].dtype == Dtype::kF8E8M0) {
    for (std::byte& b : parts[1]) b = static_cast<std::byte>(100 + random() % 60);
    return parts;
  }
  for (size_t i = 0; i < parts[1].size() / sizeof(float); ++i) {
    const float scale = std::ldexp(1.0f + static_cast<float>(random() % 1024) / 1024.0f,
                                   static_cast<int>(random() % 40) - 30);
    std::memcpy(parts[1].data() + i * sizeof(float), &scale, sizeof(float));
  }
  return parts;
}

struct Encoded {
  std::vector<Bytes> parts;
  ValueStats stats;
};

void ExpectSame(const Encoded& got, const Encoded& want) {
  EXPECT_EQ(got.parts, want.parts);
  EXPECT_EQ(got.stats.nan_codes, want.stats.nan_codes);
  EXPECT_EQ(got.stats.f16_overflows, want.stats.f16_overflows);
  EXPECT_EQ(got.stats.not_finite, want.stats.not_finite);
}

Encoded TranscodeAll(const Scheme& from, std::vector<Bytes>& source, const Scheme& to,
                     uint64_t rows, uint64_t cols, decltype(&Transcode) transcode = &Transcode) {
  Encoded out{PartsFor(to, rows, cols, {0, rows}), {}};
  transcode(from, Spans<const std::byte>(source), to, Spans<std::byte>(out.parts), rows, cols,
            {0, rows}, out.stats);
  return out;
}

// The same in tiles, each with buffers of its own.
Encoded TranscodeTiles(const Scheme& from, const std::vector<Bytes>& source, const Scheme& to,
                       uint64_t rows, uint64_t cols, uint64_t tile) {
  Encoded out{PartsFor(to, rows, cols, {0, 0}), {}};
  for (uint64_t begin = 0; begin < rows; begin += tile) {
    const RowRange range{begin, std::min(begin + tile, rows)};
    std::vector<Bytes> in, tile_out = PartsFor(to, rows, cols, range);
    for (size_t i = 0; i < source.size(); ++i) {
      const ByteRange bytes = from.PartBytes(i, rows, cols, range);
      in.emplace_back(source[i].begin() + static_cast<ptrdiff_t>(bytes.begin),
                      source[i].begin() + static_cast<ptrdiff_t>(bytes.end));
    }
    Transcode(from, Spans<const std::byte>(in), to, Spans<std::byte>(tile_out), rows, cols, range,
              out.stats);
    for (size_t i = 0; i < tile_out.size(); ++i) {
      out.parts[i].insert(out.parts[i].end(), tile_out[i].begin(), tile_out[i].end());
    }
  }
  return out;
}

struct Named {
  std::string name;
  std::shared_ptr<const Scheme> scheme;
  bool encodes = true;
};

std::shared_ptr<const Scheme> Borrowed(const Scheme& scheme) {
  return {std::shared_ptr<void>(), &scheme};
}

// Every kind of scheme, with blocks of 8 x 16 so that small matrices have many.
std::vector<Named> Schemes() {
  const auto fp8 = [](Fp8BlockArgs args) {
    args.block_rows = 8;
    args.block_cols = 16;
    return std::shared_ptr<const Scheme>(MakeFp8BlockScheme(args));
  };
  return {{"F32", Borrowed(PlainScheme(Dtype::kF32))},
          {"BF16", Borrowed(PlainScheme(Dtype::kBF16))},
          {"F16", Borrowed(PlainScheme(Dtype::kF16))},
          {"F16 saturated", Borrowed(PlainScheme(Dtype::kF16, true))},
          {"FP8", fp8({})},
          {"FP8 ue8m0", fp8({.scale_format = ScaleFormat::kUe8m0})},
          {"FP8 with E8M0", fp8({.scale = Dtype::kF8E8M0}), false},
          {"E5M2", fp8({.code = Dtype::kF8E5M2}), false}};
}

TEST(Scheme, FusedTranscodingGivesTheBitsOfTheGeneralWay) {
  std::mt19937 random(5);
  for (const Named& from : Schemes()) {
    for (const Named& to : Schemes()) {
      if (!to.encodes) continue;
      SCOPED_TRACE(from.name + " to " + to.name);
      for (const auto& [rows, cols] : {std::pair{21, 37}, {8, 16}, {1, 300}, {300, 1}, {0, 5}}) {
        auto source = RandomStored(*from.scheme, static_cast<uint64_t>(rows),
                                   static_cast<uint64_t>(cols), random);
        const auto r = static_cast<uint64_t>(rows), c = static_cast<uint64_t>(cols);
        ExpectSame(TranscodeAll(*from.scheme, source, *to.scheme, r, c),
                   TranscodeAll(*from.scheme, source, *to.scheme, r, c, &TranscodeThroughF32));
      }
    }
  }
}

TEST(Scheme, TileBordersChangeNothing) {
  std::mt19937 random(6);
  constexpr uint64_t kRows = 53, kCols = 41;
  for (const Named& from : Schemes()) {
    for (const Named& to : Schemes()) {
      if (!to.encodes) continue;
      SCOPED_TRACE(from.name + " to " + to.name);
      auto source = RandomStored(*from.scheme, kRows, kCols, random);
      const Encoded whole = TranscodeAll(*from.scheme, source, *to.scheme, kRows, kCols);
      for (const uint64_t tile : {8u, 24u, 48u}) {
        ExpectSame(TranscodeTiles(*from.scheme, source, *to.scheme, kRows, kCols, tile), whole);
      }
    }
  }
}

TEST(Fp8BlockScheme, PartsHaveOneScaleABlockEvenARaggedOne) {
  const auto scheme = MakeFp8BlockScheme({});
  const auto parts = scheme->Parts(576, 7000);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].suffix, ".weight");
  EXPECT_EQ(parts[0].dtype, Dtype::kF8E4M3);
  EXPECT_EQ(parts[0].shape, (Shape{576, 7000}));
  EXPECT_EQ(parts[1].suffix, ".weight_scale_inv");
  EXPECT_EQ(parts[1].dtype, Dtype::kF32);
  EXPECT_EQ(parts[1].shape, (Shape{5, 55}));
  EXPECT_EQ(scheme->PartBytes(0, 576, 7000, {512, 576}), (ByteRange{512 * 7000, 576 * 7000}));
  EXPECT_EQ(scheme->PartBytes(1, 576, 7000, {512, 576}), (ByteRange{4 * 55 * 4, 5 * 55 * 4}));
  EXPECT_EQ(scheme->PartBytes(1, 576, 7000, {128, 384}), (ByteRange{55 * 4, 3 * 55 * 4}));
}

TEST(Fp8BlockScheme, EveryElementIsDecodedWithItsBlocksScale) {
  std::mt19937 random(8);
  constexpr uint64_t kRows = 300, kCols = 200;
  for (const Dtype scale_type : {Dtype::kF32, Dtype::kF8E8M0}) {
    for (const Dtype code_type : {Dtype::kF8E4M3, Dtype::kF8E5M2}) {
      const auto scheme = MakeFp8BlockScheme(
          {.code = code_type, .scale = scale_type, .block_rows = 128, .block_cols = 64});
      auto parts = RandomStored(*scheme, kRows, kCols, random);
      std::vector<float> got(kRows * kCols), want;
      ValueStats stats;
      scheme->DecodeRows(Spans<const std::byte>(parts), kRows, kCols, {0, kRows}, got.data(),
                         stats);
      size_t nan_codes = 0;
      for (uint64_t i = 0; i < kRows * kCols; ++i) {
        const uint64_t block = i / kCols / 128 * 4 + i % kCols / 64;
        const float scale = scale_type == Dtype::kF32
                                ? At<float>(parts[1], block)
                                : reference::DecodeE8m0(At<uint8_t>(parts[1], block));
        const auto code = At<uint8_t>(parts[0], i);
        const float value =
            code_type == Dtype::kF8E4M3 ? reference::DecodeE4m3(code) : reference::DecodeE5m2(code);
        nan_codes += std::isnan(value);
        want.push_back(reference::Scaled(value, scale));
      }
      EXPECT_TRUE(SameBits(got, want));
      EXPECT_EQ(stats.nan_codes, nan_codes);
    }
  }
}

TEST(Fp8BlockScheme, EncodesEachBlockAsActQuantDoes) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  constexpr uint64_t kRows = 200, kCols = 300;
  std::vector<float> in(kRows * kCols);
  for (float& x : in) x = normal(random);
  for (uint64_t i = 128 * kCols; i < kRows * kCols; ++i) in[i] *= 1e-6f;  // under the clamp
  for (const ScaleFormat format : {ScaleFormat::kF32, ScaleFormat::kUe8m0}) {
    const auto scheme = MakeFp8BlockScheme({.scale_format = format});
    std::vector<Bytes> parts = PartsFor(*scheme, kRows, kCols, {0, kRows});
    ValueStats stats;
    scheme->EncodeRows(in.data(), kRows, kCols, {0, kRows}, Spans<std::byte>(parts), stats);
    float amax[6] = {};
    const auto block_of = [](uint64_t i) { return i / kCols / 128 * 3 + i % kCols / 128; };
    for (uint64_t i = 0; i < in.size(); ++i) {
      amax[block_of(i)] = std::max(amax[block_of(i)], std::fabs(in[i]));
    }
    for (uint64_t b = 0; b < 6; ++b) {
      const float want = reference::BlockScale(amax[b], format == ScaleFormat::kUe8m0);
      ASSERT_EQ(At<float>(parts[1], b), want) << b;
    }
    for (uint64_t i = 0; i < in.size(); ++i) {
      const float scale = At<float>(parts[1], block_of(i));
      ASSERT_EQ(At<uint8_t>(parts[0], i), reference::RoundToE4m3(in[i] / scale)) << i;
    }
    EXPECT_EQ(stats.not_finite, 0u);
  }
}

// Scales whose every product is a normal BF16, powers of two and not.
float OrdinaryScale(std::mt19937& random, bool power_of_two) {
  const uint32_t fraction = power_of_two ? 0 : static_cast<uint32_t>(random()) & 0x7FFFFF;
  const uint32_t exponent = 10 + static_cast<uint32_t>(random()) % 230;
  return FromBits(exponent << 23 | fraction);
}

TEST(Fp8BlockScheme, GivenScalesGiveBackTheOriginalCodes) {
  std::mt19937 random(10);
  const auto original = MakeFp8BlockScheme({.block_rows = 4, .block_cols = 64});
  const auto again = MakeFp8BlockScheme({.block_rows = 4, .block_cols = 64, .scales_given = true});
  constexpr uint64_t kRows = 400, kCols = 256;
  for (const bool power_of_two : {true, false}) {
    std::vector<Bytes> stored = PartsFor(*original, kRows, kCols, {0, kRows});
    for (size_t i = 0; i < stored[0].size(); ++i) {  // every code but NaN in every block
      const auto code = static_cast<uint8_t>(i);
      stored[0][i] = static_cast<std::byte>((code & 0x7F) == 0x7F ? 0 : code);
    }
    for (size_t i = 0; i < stored[1].size(); i += sizeof(float)) {
      const float scale = OrdinaryScale(random, power_of_two);
      std::memcpy(stored[1].data() + i, &scale, sizeof(float));
    }
    for (const Dtype through : {Dtype::kBF16, Dtype::kF32}) {
      Encoded plain = TranscodeAll(*original, stored, PlainScheme(through), kRows, kCols);
      Encoded back{PartsFor(*again, kRows, kCols, {0, kRows}), {}};
      back.parts[1] = stored[1];
      Transcode(PlainScheme(through), Spans<const std::byte>(plain.parts), *again,
                Spans<std::byte>(back.parts), kRows, kCols, {0, kRows}, back.stats);
      EXPECT_EQ(back.parts, stored) << Name(through) << " power of two: " << power_of_two;
      EXPECT_EQ(back.stats.not_finite, 0u);
    }
  }
}

// Several codes share a value where products are subnormal or the scale is zero; any of them will
// do. An infinite product cannot be encoded, so such scales are left out.
TEST(Fp8BlockScheme, GivenScalesGiveBackTheValuesUnderAnyScaleThatDoesNotOverflow) {
  const auto original = MakeFp8BlockScheme({.block_rows = 1, .block_cols = 256});
  const auto again = MakeFp8BlockScheme({.block_rows = 1, .block_cols = 256, .scales_given = true});
  for (uint32_t bits = 0; bits < 0x7B000000; bits += 65521) {
    const float scale = FromBits(bits);
    std::vector<Bytes> stored = {Bytes(254), Bytes(sizeof(float))};
    for (size_t i = 0; i < 254; ++i) stored[0][i] = static_cast<std::byte>(i < 127 ? i : i + 1);
    std::memcpy(stored[1].data(), &scale, sizeof(float));
    Encoded plain = TranscodeAll(*original, stored, PlainScheme(Dtype::kBF16), 1, 254);
    Encoded back{{Bytes(254), stored[1]}, {}};
    Transcode(PlainScheme(Dtype::kBF16), Spans<const std::byte>(plain.parts), *again,
              Spans<std::byte>(back.parts), 1, 254, {0, 1}, back.stats);
    const Encoded values = TranscodeAll(*original, back.parts, PlainScheme(Dtype::kBF16), 1, 254);
    ASSERT_EQ(values.parts, plain.parts) << std::hexfloat << scale;
  }
}

TEST(Fp8BlockScheme, ValuesThatFp8CannotHoldAreCounted) {
  std::vector<float> in(64, 1.0f);
  in[3] = INFINITY;
  in[40] = -INFINITY;
  in[63] = NAN;
  const auto scheme = MakeFp8BlockScheme({});
  std::vector<Bytes> parts = PartsFor(*scheme, 1, 64, {0, 1});
  ValueStats stats;
  scheme->EncodeRows(in.data(), 1, 64, {0, 1}, Spans<std::byte>(parts), stats);
  EXPECT_EQ(stats.not_finite, 3u);
}

TEST(PlainScheme, F16CountsFiniteValuesBeyondItsRangeAndClipsThemIfAsked) {
  const std::vector<float> in = {65504, 65520, -1e30f, INFINITY, NAN, 1};
  for (const bool saturate : {false, true}) {
    std::vector<Bytes> parts = {Bytes(12)};
    ValueStats stats;
    PlainScheme(Dtype::kF16, saturate)
        .EncodeRows(in.data(), 6, 1, {0, 6}, Spans<std::byte>(parts), stats);
    std::vector<uint16_t> got;
    for (uint64_t i = 0; i < 6; ++i) got.push_back(At<uint16_t>(parts[0], i));
    const std::vector<uint16_t> want =
        saturate ? std::vector<uint16_t>{0x7BFF, 0x7BFF, 0xFBFF, 0x7C00, 0x7E00, 0x3C00}
                 : std::vector<uint16_t>{0x7BFF, 0x7C00, 0xFC00, 0x7C00, 0x7E00, 0x3C00};
    EXPECT_EQ(got, want);
    EXPECT_EQ(stats.f16_overflows, 2u);
    EXPECT_EQ(stats.not_finite, 0u);
  }
}

}  // namespace
}  // namespace tessera
