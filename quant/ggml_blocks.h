// How the block types of GGUF lie in memory. Codes and scales go in and out as one byte each, in
// the order of the values; where their bits lie is this file's business alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tessera {

inline constexpr size_t kGgmlBlock = 32;        // values of a plain block
inline constexpr size_t kGgmlSuperBlock = 256;  // of one whose scales are quantized as well

// d and m are F16.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t codes[16];
};
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t codes[16];
};
struct BlockQ5_0 {
  uint16_t d;
  uint8_t fifth[4];
  uint8_t codes[16];
};
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t fifth[4];
  uint8_t codes[16];
};
struct BlockQ8_0 {
  uint16_t d;
  int8_t codes[32];
};
struct BlockMxfp4 {
  uint8_t exponent;
  uint8_t codes[16];
};
struct BlockIq4Nl {
  uint16_t d;
  uint8_t codes[16];
};
struct BlockIq4Xs {
  uint16_t d;
  uint8_t scales_high[2];
  uint8_t scales_low[4];
  uint8_t codes[128];
};
struct BlockQ2_K {
  uint8_t scales[16];  // low nibble: scale, high nibble: minimum
  uint8_t codes[64];
  uint16_t d, dmin;
};
struct BlockQ3_K {
  uint8_t third[32];
  uint8_t codes[64];
  uint8_t scales[12];
  uint16_t d;
};
struct BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t codes[128];
};
struct BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t fifth[32];
  uint8_t codes[128];
};
struct BlockQ6_K {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  uint16_t d;
};

// Rows lie at any address.
template <class Block>
Block LoadBlock(const std::byte* row, size_t i) {
  Block block;
  std::memcpy(&block, row + i * sizeof(Block), sizeof(Block));
  return block;
}
template <class Block>
void StoreBlock(const Block& block, std::byte* row, size_t i) {
  std::memcpy(row + i * sizeof(Block), &block, sizeof(Block));
}

// 32 codes of 4 bits: code j beside code j + 16.
void PackNibbles(const uint8_t* codes, uint8_t* packed);
void UnpackNibbles(const uint8_t* packed, uint8_t* codes);

// The fifth bits of 32 codes, code j in bit j.
void PackFifthBits(const uint8_t* codes, uint8_t* packed);
void AddFifthBits(const uint8_t* packed, uint8_t* codes);

// 256 codes each.
void PackCodes(const uint8_t* codes, BlockQ2_K& block);
void PackCodes(const uint8_t* codes, BlockQ3_K& block);
void PackCodes(const uint8_t* codes, BlockQ4_K& block);
void PackCodes(const uint8_t* codes, BlockQ5_K& block);
void PackCodes(const uint8_t* codes, BlockQ6_K& block);
void PackCodes(const uint8_t* codes, BlockIq4Xs& block);
void UnpackCodes(const BlockQ2_K& block, uint8_t* codes);
void UnpackCodes(const BlockQ3_K& block, uint8_t* codes);
void UnpackCodes(const BlockQ4_K& block, uint8_t* codes);
void UnpackCodes(const BlockQ5_K& block, uint8_t* codes);
void UnpackCodes(const BlockQ6_K& block, uint8_t* codes);
void UnpackCodes(const BlockIq4Xs& block, uint8_t* codes);

// Eight scales and eight minimums of 6 bits in 12 bytes, as Q4_K and Q5_K have them. What a scale
// has beyond 6 bits falls where ggml lets it fall.
void PackScaleMins(const uint8_t* scales, const uint8_t* mins, uint8_t* packed);
void UnpackScaleMins(const uint8_t* packed, uint8_t* scales, uint8_t* mins);

// Sixteen scales of 6 bits in 12 bytes, and eight in 6.
void PackScales(const uint8_t* scales, BlockQ3_K& block);
void UnpackScales(const BlockQ3_K& block, uint8_t* scales);
void PackScales(const uint8_t* scales, BlockIq4Xs& block);
void UnpackScales(const BlockIq4Xs& block, uint8_t* scales);

}  // namespace tessera
