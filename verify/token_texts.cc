#include "verify/token_texts.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "formats/byte_spelling.h"
#include "formats/json.h"
#include "formats/tokenizer_spec.h"
#include "formats/unicode.h"

namespace tessera {
namespace {

constexpr size_t kMaxCharacters = 24;

std::string Escape(char32_t point, bool is_byte) {
  if (point == '\n') return "\\n";
  if (point == '\t') return "\\t";
  if (point == '\r') return "\\r";
  char text[16];
  std::snprintf(text, sizeof text, is_byte ? "\\x%02x" : "\\u%04x", static_cast<unsigned>(point));
  return text;
}

// Controls, and what has no width or turns the direction of writing.
bool IsUnseen(char32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0xAD || point == 0xFEFF ||
         (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
         (point >= 0x2060 && point <= 0x206F);
}

std::optional<std::string> TextOf(const TokenizerSpec& spec, uint32_t id) {
  const auto added = std::ranges::find(spec.added, id, &AddedToken::id);
  if (added != spec.added.end()) return added->content;
  const std::string& piece = spec.vocabulary.Text(id);
  return piece.empty() ? std::nullopt : UnspellBytes(piece);
}

}  // namespace

std::string QuotedText(std::string_view text) {
  const bool whole = !FindNonUtf8(text);
  std::string shown = "\"";
  size_t characters = 0;
  for (size_t at = 0; at < text.size(); ++characters) {
    if (characters == kMaxCharacters) return shown + "\"...";
    const size_t bytes = whole ? Utf8Bytes(text[at]) : 1;
    const char32_t point =
        whole ? CodePointAt(text, at) : char32_t{static_cast<unsigned char>(text[at])};
    if (point == '"' || point == '\\') shown += '\\';
    const bool escaped = IsUnseen(point) || (!whole && point >= 0x80);
    shown += escaped ? Escape(point, !whole) : std::string(text.substr(at, bytes));
    at += bytes;
  }
  return shown + "\"";
}

TokenTexts TextsOf(const std::filesystem::path& folder, std::span<const uint32_t> ids) {
  TokenTexts texts;
  const Result<TokenizerSpec> spec = ReadTokenizerSpec(folder);
  if (!spec) return texts;
  for (const uint32_t id : ids) {
    if (const std::optional<std::string> text = TextOf(*spec, id)) texts[id] = QuotedText(*text);
  }
  return texts;
}

std::string TokenLabel(const TokenTexts& texts, uint32_t id) {
  const auto text = texts.find(id);
  return std::to_string(id) + (text == texts.end() ? "" : " " + text->second);
}

}  // namespace tessera
