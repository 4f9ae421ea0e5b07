#include "quant/ggml_blocks.h"

namespace tessera {
namespace {

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 &&
              sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockMxfp4) == 17);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144 &&
              sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIq4Nl) == 18 && sizeof(BlockIq4Xs) == 136);

uint8_t Byte(int bits) { return static_cast<uint8_t>(bits); }

// 128 codes, of which 32 bytes take the two lowest bits: codes 32 apart share a byte.
void PackPairsOfBits(const uint8_t* codes, uint8_t* packed) {
  for (size_t i = 0; i < 32; ++i) {
    packed[i] = Byte((codes[i] & 3) | (codes[32 + i] & 3) << 2 | (codes[64 + i] & 3) << 4 |
                     (codes[96 + i] & 3) << 6);
  }
}

void UnpackPairsOfBits(const uint8_t* packed, uint8_t* codes) {
  for (size_t group = 0; group < 4; ++group) {
    for (size_t i = 0; i < 32; ++i) codes[32 * group + i] = (packed[i] >> (2 * group)) & 3;
  }
}

// 256 codes: those 32 apart within each 64 share a byte.
void PackNibbleGroups(const uint8_t* codes, uint8_t* packed) {
  for (size_t group = 0; group < 4; ++group, codes += 64, packed += 32) {
    for (size_t i = 0; i < 32; ++i) {
      packed[i] = Byte((codes[i] & 0xF) | (codes[32 + i] & 0xF) << 4);
    }
  }
}

void UnpackNibbleGroups(const uint8_t* packed, uint8_t* codes) {
  for (size_t group = 0; group < 4; ++group, codes += 64, packed += 32) {
    for (size_t i = 0; i < 32; ++i) {
      codes[i] = packed[i] & 0xF;
      codes[32 + i] = packed[i] >> 4;
    }
  }
}

// Bit kBit of 256 codes: code j in byte j % 32, bit j / 32.
template <int kBit>
void PackBitPlane(const uint8_t* codes, uint8_t* packed) {
  for (size_t i = 0; i < 32; ++i) {
    int bits = 0;
    for (size_t group = 0; group < 8; ++group) bits |= (codes[32 * group + i] >> kBit & 1) << group;
    packed[i] = Byte(bits);
  }
}

template <int kBit>
void AddBitPlane(const uint8_t* packed, uint8_t* codes) {
  for (size_t group = 0; group < 8; ++group) {
    for (size_t i = 0; i < 32; ++i) {
      uint8_t& code = codes[32 * group + i];
      code = Byte(code | (packed[i] >> group & 1) << kBit);
    }
  }
}

}  // namespace

void PackNibbles(const uint8_t* codes, uint8_t* packed) {
  for (size_t i = 0; i < 16; ++i) packed[i] = Byte((codes[i] & 0xF) | (codes[16 + i] & 0xF) << 4);
}

void UnpackNibbles(const uint8_t* packed, uint8_t* codes) {
  for (size_t i = 0; i < 16; ++i) {
    codes[i] = packed[i] & 0xF;
    codes[16 + i] = packed[i] >> 4;
  }
}

void PackFifthBits(const uint8_t* codes, uint8_t* packed) {
  std::memset(packed, 0, 4);
  for (size_t i = 0; i < 32; ++i) packed[i / 8] = Byte(packed[i / 8] | (codes[i] >> 4) << i % 8);
}

void AddFifthBits(const uint8_t* packed, uint8_t* codes) {
  for (size_t i = 0; i < 32; ++i) codes[i] = Byte(codes[i] | (packed[i / 8] >> i % 8 & 1) << 4);
}

void PackCodes(const uint8_t* codes, BlockQ2_K& block) {
  PackPairsOfBits(codes, block.codes);
  PackPairsOfBits(codes + 128, block.codes + 32);
}

void UnpackCodes(const BlockQ2_K& block, uint8_t* codes) {
  UnpackPairsOfBits(block.codes, codes);
  UnpackPairsOfBits(block.codes + 32, codes + 128);
}

void PackCodes(const uint8_t* codes, BlockQ3_K& block) {
  PackPairsOfBits(codes, block.codes);
  PackPairsOfBits(codes + 128, block.codes + 32);
  PackBitPlane<2>(codes, block.third);
}

void UnpackCodes(const BlockQ3_K& block, uint8_t* codes) {
  UnpackPairsOfBits(block.codes, codes);
  UnpackPairsOfBits(block.codes + 32, codes + 128);
  AddBitPlane<2>(block.third, codes);
}

void PackCodes(const uint8_t* codes, BlockQ4_K& block) { PackNibbleGroups(codes, block.codes); }
void UnpackCodes(const BlockQ4_K& block, uint8_t* codes) { UnpackNibbleGroups(block.codes, codes); }

void PackCodes(const uint8_t* codes, BlockQ5_K& block) {
  PackNibbleGroups(codes, block.codes);
  PackBitPlane<4>(codes, block.fifth);
}

void UnpackCodes(const BlockQ5_K& block, uint8_t* codes) {
  UnpackNibbleGroups(block.codes, codes);
  AddBitPlane<4>(block.fifth, codes);
}

void PackCodes(const uint8_t* codes, BlockQ6_K& block) {
  for (size_t half = 0; half < 2; ++half, codes += 128) {
    uint8_t* low = block.low + 64 * half;
    uint8_t* high = block.high + 32 * half;
    for (size_t i = 0; i < 64; ++i) low[i] = Byte((codes[i] & 0xF) | (codes[64 + i] & 0xF) << 4);
    for (size_t i = 0; i < 32; ++i) {
      high[i] = Byte(codes[i] >> 4 | codes[32 + i] >> 4 << 2 | codes[64 + i] >> 4 << 4 |
                     codes[96 + i] >> 4 << 6);
    }
  }
}

void UnpackCodes(const BlockQ6_K& block, uint8_t* codes) {
  for (size_t half = 0; half < 2; ++half, codes += 128) {
    const uint8_t* low = block.low + 64 * half;
    UnpackPairsOfBits(block.high + 32 * half, codes);
    for (size_t i = 0; i < 64; ++i) {
      codes[i] = Byte(codes[i] << 4 | (low[i] & 0xF));
      codes[64 + i] = Byte(codes[64 + i] << 4 | low[i] >> 4);
    }
  }
}

void PackCodes(const uint8_t* codes, BlockIq4Xs& block) {
  for (size_t i = 0; i < 8; ++i) PackNibbles(codes + 32 * i, block.codes + 16 * i);
}

void UnpackCodes(const BlockIq4Xs& block, uint8_t* codes) {
  for (size_t i = 0; i < 8; ++i) UnpackNibbles(block.codes + 16 * i, codes + 32 * i);
}

void PackScaleMins(const uint8_t* scales, const uint8_t* mins, uint8_t* packed) {
  for (size_t j = 0; j < 4; ++j) {
    packed[j] = Byte(scales[j] | scales[4 + j] >> 4 << 6);
    packed[4 + j] = Byte(mins[j] | mins[4 + j] >> 4 << 6);
    packed[8 + j] = Byte((scales[4 + j] & 0xF) | (mins[4 + j] & 0xF) << 4);
  }
}

void UnpackScaleMins(const uint8_t* packed, uint8_t* scales, uint8_t* mins) {
  for (size_t j = 0; j < 4; ++j) {
    scales[j] = packed[j] & 63;
    mins[j] = packed[4 + j] & 63;
    scales[4 + j] = Byte((packed[8 + j] & 0xF) | packed[j] >> 6 << 4);
    mins[4 + j] = Byte(packed[8 + j] >> 4 | packed[4 + j] >> 6 << 4);
  }
}

void PackScales(const uint8_t* scales, BlockQ3_K& block) {
  for (size_t j = 0; j < 8; ++j) {
    block.scales[j] = Byte((scales[j] & 0xF) | (scales[8 + j] & 0xF) << 4);
  }
  for (size_t j = 0; j < 4; ++j) {
    block.scales[8 + j] = Byte(scales[j] >> 4 | scales[4 + j] >> 4 << 2 | scales[8 + j] >> 4 << 4 |
                               scales[12 + j] >> 4 << 6);
  }
}

void UnpackScales(const BlockQ3_K& block, uint8_t* scales) {
  for (size_t j = 0; j < 16; ++j) {
    const int low = j < 8 ? block.scales[j] & 0xF : block.scales[j - 8] >> 4;
    scales[j] = Byte(low | (block.scales[8 + j % 4] >> 2 * (j / 4) & 3) << 4);
  }
}

void PackScales(const uint8_t* scales, BlockIq4Xs& block) {
  std::memset(block.scales_high, 0, sizeof(block.scales_high));
  for (size_t j = 0; j < 8; ++j) {
    block.scales_high[j / 4] = Byte(block.scales_high[j / 4] | scales[j] >> 4 << 2 * (j % 4));
    if (j % 2 == 0) {
      block.scales_low[j / 2] = Byte((scales[j] & 0xF) | (scales[j + 1] & 0xF) << 4);
    }
  }
}

void UnpackScales(const BlockIq4Xs& block, uint8_t* scales) {
  for (size_t j = 0; j < 8; ++j) {
    const int low = block.scales_low[j / 2] >> 4 * (j % 2) & 0xF;
    scales[j] = Byte(low | (block.scales_high[j / 4] >> 2 * (j % 4) & 3) << 4);
  }
}

}  // namespace tessera
