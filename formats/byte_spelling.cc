#include "formats/byte_spelling.h"

#include <array>
#include <cstdint>

#include "formats/unicode.h"

namespace tessera {
namespace {

constexpr char32_t kOthers = 0x100;

// The character of each byte.
constexpr std::array<char32_t, 256> MakeAlphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = kOthers;
  for (char32_t byte = 0; byte < alphabet.size(); ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    alphabet[byte] = printable ? byte : next++;
  }
  return alphabet;
}

constexpr std::array<char32_t, 256> kAlphabet = MakeAlphabet();

std::optional<char> ByteOf(char32_t character) {
  // Those that stand for themselves first; the others are few.
  if (character < kAlphabet.size()) {
    if (kAlphabet[character] == character) return static_cast<char>(character);
    return std::nullopt;
  }
  for (size_t byte = 0; byte < kAlphabet.size(); ++byte) {
    if (kAlphabet[byte] == character) return static_cast<char>(byte);
  }
  return std::nullopt;
}

}  // namespace

std::string SpellBytes(std::string_view bytes) {
  std::string spelled;
  for (const char byte : bytes) spelled += Utf8(kAlphabet[static_cast<uint8_t>(byte)]);
  return spelled;
}

std::optional<std::string> UnspellBytes(std::string_view spelled) {
  std::string bytes;
  for (size_t at = 0; at < spelled.size(); at += Utf8Bytes(spelled[at])) {
    const std::optional<char> byte = ByteOf(CodePointAt(spelled, at));
    if (!byte) return std::nullopt;
    bytes += *byte;
  }
  return bytes;
}

}  // namespace tessera
