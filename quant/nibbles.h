// Two 4-bit codes a byte, the first one in the low half.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera {

enum class NibbleSign : uint8_t {
  kTwosComplement = 0,
  kOffset8 = 8,  // stored as code + 8
};

// `n` codes of [-8, 7]. A last odd one leaves the high half of its byte zero.
void PackNibbles(const int8_t* codes, size_t n, NibbleSign sign, std::byte* out);
void UnpackNibbles(const std::byte* in, size_t n, NibbleSign sign, int8_t* codes);

}  // namespace tessera
