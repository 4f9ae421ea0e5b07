// Integer codes to and from the words that formats keep them in.
// A signed code c of 4 or 8 bits lies there as (c & mask) ^ flip: with flip 8 or 128 that is offset
// binary (c + 8, c + 128), with flip 0 two's complement. Words are little-endian, bytes may lie at
// any address.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

// A row of 4-bit codes, low nibble first. The nibble that an odd `n` leaves over is written as zero
// and not read.
void PackNibbles(const int8_t* codes, size_t n, uint8_t flip, std::byte* out);
void UnpackNibbles(const std::byte* in, size_t n, uint8_t flip, int8_t* codes);

// Which of eight rows lies in which nibble of a word, lowest first.
using NibbleOrder = std::array<uint8_t, 8>;
inline constexpr NibbleOrder kNaturalOrder = {0, 1, 2, 3, 4, 5, 6, 7};
inline constexpr NibbleOrder kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};

// A word holds one column of eight rows: codes [rows, cols] become words [cols, rows / 8], of which
// column k begins at byte k * stride. `rows` is a multiple of 8.
void PackColumns(const int8_t* codes, size_t rows, size_t cols, const NibbleOrder& order,
                 uint8_t flip, std::byte* out, size_t stride);
void UnpackColumns(const std::byte* in, size_t stride, size_t rows, size_t cols,
                   const NibbleOrder& order, uint8_t flip, int8_t* codes);

// A word holds 32 / bits columns of one row, lowest field first: codes [rows, cols] become words
// [ceil(cols * bits / 32), rows], of which line i begins at byte i * stride. `bits` is 4 or 8. What
// `cols` leaves over of the last line is zero.
void PackTransposed(const int8_t* codes, size_t rows, size_t cols, int bits, uint8_t flip,
                    std::byte* out, size_t stride);
void UnpackTransposed(const std::byte* in, size_t stride, size_t rows, size_t cols, int bits,
                      uint8_t flip, int8_t* codes);

}  // namespace tessera::kernels
