#include "quant/kernels/pack.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/pack.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#ifndef TESSERA_QUANT_KERNELS_PACK_ONCE_
#define TESSERA_QUANT_KERNELS_PACK_ONCE_
namespace tessera::kernels {

// Words go through a tile that stays in L1, so that those of neighbouring rows, which lie side by
// side in the output, are written together: 16 of them fill a cache line.
constexpr size_t kWordBytes = 4;
constexpr size_t kTileWords = 64;
constexpr size_t kTileLines = 16;

struct WordTile {
  uint8_t bytes[kTileLines][kTileWords * kWordBytes];
};

// tile.bytes[line] word i goes to word `line` of out's i-th stride.
inline void Scatter(const WordTile& tile, size_t lines, size_t words, std::byte* out,
                    size_t stride) {
  for (size_t i = 0; i < words; ++i) {
    for (size_t line = 0; line < lines; ++line) {
      std::memcpy(out + i * stride + line * kWordBytes, &tile.bytes[line][i * kWordBytes],
                  kWordBytes);
    }
  }
}

inline void Gather(const std::byte* in, size_t stride, size_t lines, size_t words, WordTile& tile) {
  for (size_t i = 0; i < words; ++i) {
    for (size_t line = 0; line < lines; ++line) {
      std::memcpy(&tile.bytes[line][i * kWordBytes], in + i * stride + line * kWordBytes,
                  kWordBytes);
    }
  }
}

}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A power of two of lanes, so that they divide a tile's columns.
using ByteTag = hn::CappedTag<uint8_t, kTileWords>;
using ByteVec = hn::Vec<ByteTag>;

HWY_INLINE ByteVec JoinNibbles(ByteVec low, ByteVec high, ByteVec flips) {
  const ByteTag d;
  const auto joined = hn::Or(hn::And(low, hn::Set(d, uint8_t{15})), hn::ShiftLeft<4>(high));
  return hn::Xor(joined, flips);
}

// From a nibble of two's complement, whatever lies above it.
HWY_INLINE ByteVec SignExtend(ByteVec nibble) {
  const ByteTag d;
  const auto sign = hn::Set(d, uint8_t{8});
  return hn::Sub(hn::Xor(hn::And(nibble, hn::Set(d, uint8_t{15})), sign), sign);
}

HWY_INLINE ByteVec BothNibbles(uint8_t flip) {
  return hn::Set(ByteTag(), static_cast<uint8_t>(flip * 17));
}

void PackNibbles(const int8_t* codes, size_t n, uint8_t flip, std::byte* out) {
  const ByteTag d;
  const size_t lanes = hn::Lanes(d);
  const auto* in = reinterpret_cast<const uint8_t*>(codes);
  auto* bytes = reinterpret_cast<uint8_t*>(out);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    ByteVec even, odd;
    hn::LoadInterleaved2(d, in + i, even, odd);
    hn::StoreU(JoinNibbles(even, odd, BothNibbles(flip)), d, bytes + i / 2);
  }
  for (; i + 2 <= n; i += 2) {
    bytes[i / 2] = static_cast<uint8_t>(((in[i] & 15) | (in[i + 1] & 15) << 4) ^ flip * 17);
  }
  if (i < n) bytes[i / 2] = static_cast<uint8_t>((in[i] & 15) ^ flip);
}

void UnpackNibbles(const std::byte* in, size_t n, uint8_t flip, int8_t* codes) {
  const ByteTag d;
  const size_t lanes = hn::Lanes(d);
  const auto* bytes = reinterpret_cast<const uint8_t*>(in);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto both = hn::Xor(hn::LoadU(d, bytes + i / 2), BothNibbles(flip));
    hn::StoreInterleaved2(SignExtend(both), SignExtend(hn::ShiftRight<4>(both)), d,
                          reinterpret_cast<uint8_t*>(codes) + i);
  }
  for (; i < n; ++i) {
    const int nibble = (bytes[i / 2] >> (i % 2 * 4) & 15) ^ flip;
    codes[i] = static_cast<int8_t>((nibble ^ 8) - 8);
  }
}

// kTileWords columns of eight rows as words.
HWY_INLINE void JoinRows(const uint8_t* const rows[8], uint8_t flip, uint8_t* words) {
  const ByteTag d;
  const auto flips = BothNibbles(flip);
  for (size_t i = 0; i < kTileWords; i += hn::Lanes(d)) {
    const auto join = [&](size_t low) HWY_ATTR {
      return JoinNibbles(hn::LoadU(d, rows[low] + i), hn::LoadU(d, rows[low + 1] + i), flips);
    };
    hn::StoreInterleaved4(join(0), join(2), join(4), join(6), d, words + i * kWordBytes);
  }
}

HWY_INLINE void SplitRows(const uint8_t* words, uint8_t flip, uint8_t* const rows[8]) {
  const ByteTag d;
  const auto flips = BothNibbles(flip);
  for (size_t i = 0; i < kTileWords; i += hn::Lanes(d)) {
    ByteVec both[4];
    hn::LoadInterleaved4(d, words + i * kWordBytes, both[0], both[1], both[2], both[3]);
    for (size_t pair = 0; pair < 4; ++pair) {
      const auto nibbles = hn::Xor(both[pair], flips);
      hn::StoreU(SignExtend(nibbles), d, rows[2 * pair] + i);
      hn::StoreU(SignExtend(hn::ShiftRight<4>(nibbles)), d, rows[2 * pair + 1] + i);
    }
  }
}

// The columns that a matrix has left for a tile: eight rows of them, padded.
struct RaggedRows {
  uint8_t bytes[8][kTileWords] = {};
};

void PackColumns(const int8_t* codes, size_t rows, size_t cols, const NibbleOrder& order,
                 uint8_t flip, std::byte* out, size_t stride) {
  WordTile tile;
  RaggedRows ragged;
  const uint8_t* in[8];
  for (size_t first = 0; first < rows; first += 8 * kTileLines) {
    const size_t lines = std::min(kTileLines, (rows - first) / 8);
    for (size_t k = 0; k < cols; k += kTileWords) {
      const size_t words = std::min(kTileWords, cols - k);
      for (size_t line = 0; line < lines; ++line) {
        for (size_t nibble = 0; nibble < 8; ++nibble) {
          const int8_t* row = codes + (first + line * 8 + order[nibble]) * cols + k;
          in[nibble] = reinterpret_cast<const uint8_t*>(row);
          if (words == kTileWords) continue;
          std::memcpy(ragged.bytes[nibble], row, words);
          in[nibble] = ragged.bytes[nibble];
        }
        JoinRows(in, flip, tile.bytes[line]);
      }
      Scatter(tile, lines, words, out + k * stride + first / 8 * kWordBytes, stride);
    }
  }
}

void UnpackColumns(const std::byte* in, size_t stride, size_t rows, size_t cols,
                   const NibbleOrder& order, uint8_t flip, int8_t* codes) {
  WordTile tile = {};
  RaggedRows ragged;
  uint8_t* out[8];
  for (size_t first = 0; first < rows; first += 8 * kTileLines) {
    const size_t lines = std::min(kTileLines, (rows - first) / 8);
    for (size_t k = 0; k < cols; k += kTileWords) {
      const size_t words = std::min(kTileWords, cols - k);
      Gather(in + k * stride + first / 8 * kWordBytes, stride, lines, words, tile);
      for (size_t line = 0; line < lines; ++line) {
        int8_t* eight = codes + (first + line * 8) * cols + k;
        for (size_t nibble = 0; nibble < 8; ++nibble) {
          out[nibble] = words == kTileWords
                            ? reinterpret_cast<uint8_t*>(eight + order[nibble] * cols)
                            : ragged.bytes[nibble];
        }
        SplitRows(tile.bytes[line], flip, out);
        if (words == kTileWords) continue;
        for (size_t nibble = 0; nibble < 8; ++nibble) {
          std::memcpy(eight + order[nibble] * cols, ragged.bytes[nibble], words);
        }
      }
    }
  }
}

HWY_INLINE void FlipBytes(const uint8_t* in, size_t n, uint8_t flip, uint8_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = in[i] ^ flip;
}

void PackTransposed(const int8_t* codes, size_t rows, size_t cols, int bits, uint8_t flip,
                    std::byte* out, size_t stride) {
  WordTile tile;
  const size_t per_word = 32 / static_cast<size_t>(bits);
  for (size_t first = 0; first < rows; first += kTileLines) {
    const size_t lines = std::min(kTileLines, rows - first);
    for (size_t k = 0; k < cols; k += kTileWords * per_word) {
      const size_t columns = std::min(kTileWords * per_word, cols - k);
      for (size_t line = 0; line < lines; ++line) {
        const int8_t* row = codes + (first + line) * cols + k;
        if (columns % per_word != 0) std::memset(tile.bytes[line], 0, sizeof(tile.bytes[line]));
        if (bits == 4) {
          PackNibbles(row, columns, flip, reinterpret_cast<std::byte*>(tile.bytes[line]));
        } else {
          FlipBytes(reinterpret_cast<const uint8_t*>(row), columns, flip, tile.bytes[line]);
        }
      }
      Scatter(tile, lines, (columns + per_word - 1) / per_word,
              out + k / per_word * stride + first * kWordBytes, stride);
    }
  }
}

void UnpackTransposed(const std::byte* in, size_t stride, size_t rows, size_t cols, int bits,
                      uint8_t flip, int8_t* codes) {
  WordTile tile;
  const size_t per_word = 32 / static_cast<size_t>(bits);
  for (size_t first = 0; first < rows; first += kTileLines) {
    const size_t lines = std::min(kTileLines, rows - first);
    for (size_t k = 0; k < cols; k += kTileWords * per_word) {
      const size_t columns = std::min(kTileWords * per_word, cols - k);
      Gather(in + k / per_word * stride + first * kWordBytes, stride, lines,
             (columns + per_word - 1) / per_word, tile);
      for (size_t line = 0; line < lines; ++line) {
        int8_t* row = codes + (first + line) * cols + k;
        if (bits == 4) {
          UnpackNibbles(reinterpret_cast<const std::byte*>(tile.bytes[line]), columns, flip, row);
        } else {
          FlipBytes(tile.bytes[line], columns, flip, reinterpret_cast<uint8_t*>(row));
        }
      }
    }
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(PackNibbles);
HWY_EXPORT(UnpackNibbles);
HWY_EXPORT(PackColumns);
HWY_EXPORT(UnpackColumns);
HWY_EXPORT(PackTransposed);
HWY_EXPORT(UnpackTransposed);

void PackNibbles(const int8_t* codes, size_t n, uint8_t flip, std::byte* out) {
  HWY_DYNAMIC_DISPATCH(PackNibbles)(codes, n, flip, out);
}

void UnpackNibbles(const std::byte* in, size_t n, uint8_t flip, int8_t* codes) {
  HWY_DYNAMIC_DISPATCH(UnpackNibbles)(in, n, flip, codes);
}

void PackColumns(const int8_t* codes, size_t rows, size_t cols, const NibbleOrder& order,
                 uint8_t flip, std::byte* out, size_t stride) {
  HWY_DYNAMIC_DISPATCH(PackColumns)(codes, rows, cols, order, flip, out, stride);
}

void UnpackColumns(const std::byte* in, size_t stride, size_t rows, size_t cols,
                   const NibbleOrder& order, uint8_t flip, int8_t* codes) {
  HWY_DYNAMIC_DISPATCH(UnpackColumns)(in, stride, rows, cols, order, flip, codes);
}

void PackTransposed(const int8_t* codes, size_t rows, size_t cols, int bits, uint8_t flip,
                    std::byte* out, size_t stride) {
  HWY_DYNAMIC_DISPATCH(PackTransposed)(codes, rows, cols, bits, flip, out, stride);
}

void UnpackTransposed(const std::byte* in, size_t stride, size_t rows, size_t cols, int bits,
                      uint8_t flip, int8_t* codes) {
  HWY_DYNAMIC_DISPATCH(UnpackTransposed)(in, stride, rows, cols, bits, flip, codes);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
