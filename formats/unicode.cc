#include "formats/unicode.h"

#include <cstdint>

namespace tessera {

size_t Utf8Bytes(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

char32_t CodePointAt(std::string_view text, size_t at) {
  const size_t bytes = Utf8Bytes(text[at]);
  const auto lead = static_cast<uint8_t>(text[at]);
  char32_t point = bytes == 1 ? lead : lead & (0x7Fu >> bytes);
  for (size_t k = 1; k < bytes; ++k) {
    point = point << 6 | (static_cast<uint8_t>(text[at + k]) & 0x3Fu);
  }
  return point;
}

std::string Utf8(char32_t point) {
  const auto tail = [point](int shift) {
    return static_cast<char>(0x80 | ((point >> shift) & 0x3F));
  };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xC0 | point >> 6), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xE0 | point >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | point >> 18), tail(12), tail(6), tail(0)};
}

bool IsWhiteSpace(char32_t point) {
  return (point >= 0x09 && point <= 0x0D) || point == 0x20 || point == 0x85 || point == 0xA0 ||
         point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
         point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

}  // namespace tessera
