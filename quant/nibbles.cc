#include "quant/nibbles.h"

#include <cstring>

namespace tessera {
namespace {

int8_t Signed(unsigned nibble, NibbleSign sign) {
  // Under kOffset8 the top bit is the sign's complement; then as two's complement.
  const unsigned code = (nibble ^ static_cast<unsigned>(sign)) & 0xF;
  return static_cast<int8_t>(static_cast<int>(code ^ 8) - 8);
}

}  // namespace

void PackNibbles(const int8_t* codes, size_t n, NibbleSign sign, std::byte* out) {
  const auto flip = static_cast<unsigned>(sign);
  for (size_t i = 0; i < n / 2; ++i) {
    uint16_t pair;  // the first code in its low byte
    std::memcpy(&pair, codes + 2 * i, sizeof(pair));
    const unsigned flipped = pair ^ (flip | flip << 8);
    out[i] = static_cast<std::byte>((flipped & 0xF) | ((flipped >> 4) & 0xF0));
  }
  if (n % 2 != 0) {
    out[n / 2] = static_cast<std::byte>((static_cast<unsigned>(codes[n - 1]) ^ flip) & 0xF);
  }
}

void UnpackNibbles(const std::byte* in, size_t n, NibbleSign sign, int8_t* codes) {
  for (size_t i = 0; i < n / 2; ++i) {
    const auto byte = std::to_integer<unsigned>(in[i]);
    codes[2 * i] = Signed(byte & 0xF, sign);
    codes[2 * i + 1] = Signed(byte >> 4, sign);
  }
  if (n % 2 != 0) codes[n - 1] = Signed(std::to_integer<unsigned>(in[n / 2]) & 0xF, sign);
}

}  // namespace tessera
