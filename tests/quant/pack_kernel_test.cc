// Against each layout written down as a formula: where in the words the field of a code begins.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "quant/kernels/pack.h"
#include "quant/kernels/target.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

using Codes = std::vector<int8_t>;
using Bytes = std::vector<std::byte>;

// The bit at which the code of (row, column) begins.
using Layout = std::function<size_t(size_t row, size_t col)>;

uint8_t Stored(int8_t code, int bits, uint8_t flip) {
  const int mask = (1 << bits) - 1;
  return static_cast<uint8_t>((code & mask) ^ flip);
}

Bytes Reference(const Codes& codes, size_t cols, int bits, uint8_t flip, const Layout& bit_of,
                size_t bytes) {
  Bytes out(bytes);
  for (size_t i = 0; i < codes.size(); ++i) {
    const size_t bit = bit_of(i / cols, i % cols);
    out[bit / 8] |= std::byte(Stored(codes[i], bits, flip) << bit % 8);
  }
  return out;
}

Codes RandomCodes(size_t n, int bits, unsigned seed) {
  std::mt19937 random(seed);
  Codes codes(n);
  for (int8_t& code : codes) {
    code = static_cast<int8_t>(static_cast<int>(random() % (1u << bits)) - (1 << (bits - 1)));
  }
  return codes;
}

// `pack` and `unpack` work behind a guard byte, so that words lie at odd addresses.
void ExpectLayout(const Codes& codes, const Bytes& want,
                  const std::function<void(const int8_t*, std::byte*)>& pack,
                  const std::function<void(const std::byte*, int8_t*)>& unpack) {
  constexpr std::byte kGuard{0xA5};
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(target.name());
    const ScopedTarget use(target);
    Bytes packed(want.size() + 2, kGuard);
    pack(codes.data(), packed.data() + 1);
    EXPECT_EQ(packed.front(), kGuard);
    EXPECT_EQ(packed.back(), kGuard);
    ASSERT_TRUE(SameBits(Bytes(packed.begin() + 1, packed.end() - 1), want));
    Codes back(codes.size() + 1, 99);
    unpack(packed.data() + 1, back.data());
    EXPECT_EQ(back.back(), 99);
    back.pop_back();
    ASSERT_TRUE(SameBits(back, codes));
  }
}

TEST(PackKernel, NibblesLieAlongTheRowLowFirstOnEveryTarget) {
  for (const uint8_t flip : {uint8_t{0}, uint8_t{8}}) {
    for (size_t n = 0; n <= 300; ++n) {
      SCOPED_TRACE(testing::Message() << "n=" << n << " flip=" << int{flip});
      const Codes codes = RandomCodes(n, 4, 1);
      const auto layout = [](size_t, size_t col) { return 4 * col; };
      ExpectLayout(
          codes, Reference(codes, n, 4, flip, layout, (n + 1) / 2),
          [&](const int8_t* in, std::byte* out) { kernels::PackNibbles(in, n, flip, out); },
          [&](const std::byte* in, int8_t* out) { kernels::UnpackNibbles(in, n, flip, out); });
    }
  }
}

// The rows given are part of a wider matrix: the words around theirs stay what they are.
TEST(PackKernel, ColumnsOfEightRowsMakeAWordOnEveryTarget) {
  for (const kernels::NibbleOrder& order : {kernels::kNaturalOrder, kernels::kAwqOrder}) {
    std::array<size_t, 8> nibble_of{};
    for (size_t i = 0; i < 8; ++i) nibble_of[order[i]] = i;
    for (const size_t rows : {8u, 16u, 128u, 136u, 264u}) {
      for (const size_t cols : {0u, 1u, 7u, 63u, 64u, 65u, 200u}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << cols << " order " << int{order[1]});
        const Codes codes = RandomCodes(rows * cols, 4, 2);
        const size_t stride = rows / 2;
        const auto layout = [&](size_t row, size_t col) {
          return col * stride * 8 + row / 8 * 32 + nibble_of[row % 8] * 4;
        };
        ExpectLayout(
            codes, Reference(codes, cols, 4, 8, layout, stride * cols),
            [&](const int8_t* in, std::byte* out) {
              kernels::PackColumns(in, rows, cols, order, 8, out, stride);
            },
            [&](const std::byte* in, int8_t* out) {
              kernels::UnpackColumns(in, stride, rows, cols, order, 8, out);
            });
      }
    }
  }
}

TEST(PackKernel, ColumnsOfOneRowMakeAWordOfTheTransposedOnEveryTarget) {
  for (const int bits : {4, 8}) {
    const size_t per_word = 32 / static_cast<size_t>(bits);
    const auto flip = static_cast<uint8_t>(1 << (bits - 1));
    for (const size_t rows : {1u, 3u, 16u, 17u, 40u}) {
      for (const size_t cols : {0u, 1u, 8u, 31u, 256u, 511u, 512u, 520u, 1032u}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << cols << " bits " << bits);
        const Codes codes = RandomCodes(rows * cols, bits, 3);
        const size_t stride = rows * 4;
        const auto layout = [&](size_t row, size_t col) {
          return col / per_word * stride * 8 + row * 32 +
                 col % per_word * static_cast<size_t>(bits);
        };
        ExpectLayout(
            codes,
            Reference(codes, cols, bits, flip, layout, (cols + per_word - 1) / per_word * stride),
            [&](const int8_t* in, std::byte* out) {
              kernels::PackTransposed(in, rows, cols, bits, flip, out, stride);
            },
            [&](const std::byte* in, int8_t* out) {
              kernels::UnpackTransposed(in, stride, rows, cols, bits, flip, out);
            });
      }
    }
  }
}

TEST(PackKernel, WordsOfOtherRowsStayAsTheyAre) {
  constexpr size_t kRows = 8, kCols = 70, kStride = 12;
  const Codes codes = RandomCodes(kRows * kCols, 4, 4);
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(target.name());
    const ScopedTarget use(target);
    Bytes words(kCols * kStride, std::byte{0xEE});
    kernels::PackColumns(codes.data(), kRows, kCols, kernels::kAwqOrder, 8, words.data() + 4,
                         kStride);
    for (size_t i = 0; i < words.size(); ++i) {
      if (i % kStride / 4 == 1) continue;
      ASSERT_EQ(words[i], std::byte{0xEE}) << i;
    }
  }
}

}  // namespace
}  // namespace tessera
