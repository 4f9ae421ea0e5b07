// What of Unicode is needed without tables of properties. Texts here are well-formed UTF-8
// (FindNonUtf8 in formats/json.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tessera {

// Of the code point whose first byte is `lead`.
size_t Utf8Bytes(char lead);
// The code point that begins at byte `at`.
char32_t CodePointAt(std::string_view text, size_t at);
std::string Utf8(char32_t point);

// The White_Space property.
bool IsWhiteSpace(char32_t point);

}  // namespace tessera
