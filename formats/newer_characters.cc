#include "formats/newer_characters.h"

#include <algorithm>
#include <cstdint>

#include "formats/unicode.h"

namespace tessera {
namespace {

// As far as the patterns of split_pattern.cc tell characters apart.
enum Kind : uint8_t {
  kUpper,
  kLower,
  kModifier,
  kLetter,
  kHan,
  kMark,
  kNumber,
  kPunctuation,
  kSymbol,
  kFormat,
};

// The stand-ins, of three and of four bytes. Those of three lie within or without the ranges that
// patterns spell out as the newer ones do: all are in U+0800..U+4E00 except the cased ones above.
constexpr char32_t kShort[] = {0x10C7, 0x1C80, 0, 0, 0, 0x0900, 0, 0x1B5A, 0x2426, 0};
constexpr char32_t kShortCased[] = {0xA790, 0xA791};
constexpr char32_t kLong[] = {0x1D400, 0x1D41A, 0x16B40, 0x10280, 0x20000,
                              0x101FD, 0x104A0, 0x10100, 0x1F600, 0x13430};

struct Range {
  char32_t first, last;
  Kind kind;
};

constexpr Range kRanges[] = {
    {0x0897, 0x0897, kMark},          {0x0CF3, 0x0CF3, kMark},
    {0x0ECE, 0x0ECE, kMark},          {0x1B4E, 0x1B4F, kPunctuation},
    {0x1B7F, 0x1B7F, kPunctuation},   {0x1C89, 0x1C89, kUpper},
    {0x1C8A, 0x1C8A, kLower},         {0x2427, 0x2429, kSymbol},
    {0x2FFC, 0x2FFF, kSymbol},        {0x31E4, 0x31E5, kSymbol},
    {0x31EF, 0x31EF, kSymbol},        {0xA7CB, 0xA7CC, kUpper},
    {0xA7CD, 0xA7CD, kLower},         {0xA7DA, 0xA7DA, kUpper},
    {0xA7DB, 0xA7DB, kLower},         {0xA7DC, 0xA7DC, kUpper},
    {0x105C0, 0x105F3, kLetter},      {0x10D40, 0x10D49, kNumber},
    {0x10D4A, 0x10D4D, kLetter},      {0x10D4E, 0x10D4E, kModifier},
    {0x10D4F, 0x10D4F, kLetter},      {0x10D50, 0x10D65, kUpper},
    {0x10D69, 0x10D6D, kMark},        {0x10D6E, 0x10D6E, kPunctuation},
    {0x10D6F, 0x10D6F, kModifier},    {0x10D70, 0x10D85, kLower},
    {0x10D8E, 0x10D8F, kSymbol},      {0x10EC2, 0x10EC4, kLetter},
    {0x10EFC, 0x10EFF, kMark},        {0x1123F, 0x11240, kLetter},
    {0x11241, 0x11241, kMark},        {0x11380, 0x11389, kLetter},
    {0x1138B, 0x1138B, kLetter},      {0x1138E, 0x1138E, kLetter},
    {0x11390, 0x113B5, kLetter},      {0x113B7, 0x113B7, kLetter},
    {0x113B8, 0x113C0, kMark},        {0x113C2, 0x113C2, kMark},
    {0x113C5, 0x113C5, kMark},        {0x113C7, 0x113CA, kMark},
    {0x113CC, 0x113D0, kMark},        {0x113D1, 0x113D1, kLetter},
    {0x113D2, 0x113D2, kMark},        {0x113D3, 0x113D3, kLetter},
    {0x113D4, 0x113D5, kPunctuation}, {0x113D7, 0x113D8, kPunctuation},
    {0x113E1, 0x113E2, kMark},        {0x116D0, 0x116E3, kNumber},
    {0x11B00, 0x11B09, kPunctuation}, {0x11BC0, 0x11BE0, kLetter},
    {0x11BE1, 0x11BE1, kPunctuation}, {0x11BF0, 0x11BF9, kNumber},
    {0x11F00, 0x11F01, kMark},        {0x11F02, 0x11F02, kLetter},
    {0x11F03, 0x11F03, kMark},        {0x11F04, 0x11F10, kLetter},
    {0x11F12, 0x11F33, kLetter},      {0x11F34, 0x11F3A, kMark},
    {0x11F3E, 0x11F42, kMark},        {0x11F43, 0x11F4F, kPunctuation},
    {0x11F50, 0x11F59, kNumber},      {0x11F5A, 0x11F5A, kMark},
    {0x1342F, 0x1342F, kLetter},      {0x13439, 0x1343F, kFormat},
    {0x13440, 0x13440, kMark},        {0x13441, 0x13446, kLetter},
    {0x13447, 0x13455, kMark},        {0x13460, 0x143FA, kLetter},
    {0x16100, 0x1611D, kLetter},      {0x1611E, 0x1612F, kMark},
    {0x16130, 0x16139, kNumber},      {0x16D40, 0x16D42, kModifier},
    {0x16D43, 0x16D6A, kLetter},      {0x16D6B, 0x16D6C, kModifier},
    {0x16D6D, 0x16D6F, kPunctuation}, {0x16D70, 0x16D79, kNumber},
    {0x18CFF, 0x18CFF, kLetter},      {0x1B132, 0x1B132, kLetter},
    {0x1B155, 0x1B155, kLetter},      {0x1CC00, 0x1CCEF, kSymbol},
    {0x1CCF0, 0x1CCF9, kNumber},      {0x1CD00, 0x1CEB3, kSymbol},
    {0x1D2C0, 0x1D2D3, kNumber},      {0x1DF25, 0x1DF2A, kLower},
    {0x1E030, 0x1E06D, kModifier},    {0x1E08F, 0x1E08F, kMark},
    {0x1E4D0, 0x1E4EA, kLetter},      {0x1E4EB, 0x1E4EB, kModifier},
    {0x1E4EC, 0x1E4EF, kMark},        {0x1E4F0, 0x1E4F9, kNumber},
    {0x1E5D0, 0x1E5ED, kLetter},      {0x1E5EE, 0x1E5EF, kMark},
    {0x1E5F0, 0x1E5F0, kLetter},      {0x1E5F1, 0x1E5FA, kNumber},
    {0x1E5FF, 0x1E5FF, kPunctuation}, {0x1F6DC, 0x1F6DC, kSymbol},
    {0x1F774, 0x1F776, kSymbol},      {0x1F77B, 0x1F77F, kSymbol},
    {0x1F7D9, 0x1F7D9, kSymbol},      {0x1F8B2, 0x1F8BB, kSymbol},
    {0x1F8C0, 0x1F8C1, kSymbol},      {0x1FA75, 0x1FA77, kSymbol},
    {0x1FA87, 0x1FA89, kSymbol},      {0x1FA8F, 0x1FA8F, kSymbol},
    {0x1FAAD, 0x1FAAF, kSymbol},      {0x1FABB, 0x1FABF, kSymbol},
    {0x1FAC6, 0x1FAC6, kSymbol},      {0x1FACE, 0x1FACF, kSymbol},
    {0x1FADA, 0x1FADC, kSymbol},      {0x1FADF, 0x1FADF, kSymbol},
    {0x1FAE8, 0x1FAE9, kSymbol},      {0x1FAF7, 0x1FAF8, kSymbol},
    {0x1FBCB, 0x1FBEF, kSymbol},      {0x2B739, 0x2B739, kHan},
    {0x2EBF0, 0x2EE5D, kHan},         {0x31350, 0x323AF, kHan},
};

// 0 for a character that is not newer.
char32_t StandIn(char32_t point) {
  const Range* const range = std::ranges::lower_bound(kRanges, point, {}, &Range::last);
  if (range == std::end(kRanges) || point < range->first) return 0;
  if (point > 0xFFFF) return kLong[range->kind];
  return point > 0x4E00 ? kShortCased[range->kind] : kShort[range->kind];
}

}  // namespace

std::string WithOlderCharacters(std::string_view text) {
  std::string older(text);
  for (size_t at = 0; at < older.size(); at += Utf8Bytes(older[at])) {
    if (Utf8Bytes(older[at]) < 3) continue;
    if (const char32_t other = StandIn(CodePointAt(older, at)); other != 0) {
      const std::string bytes = Utf8(other);
      older.replace(at, bytes.size(), bytes);
    }
  }
  return older;
}

}  // namespace tessera
