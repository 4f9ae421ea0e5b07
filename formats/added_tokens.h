// Tokens beside a tokenizer's model, found in the text before anything else looks at it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/result.h"

namespace tessera {

inline constexpr size_t kMaxAddedTokenBytes = 1024;

struct AddedToken {
  std::string content;
  uint32_t id = 0;
  bool strip_left = false, strip_right = false;  // takes the white space beside it
  bool normalized = false;                       // looked for after those that are not
  bool special = false;
};

// Some text, or the token that it is.
struct TextSegment {
  std::string_view text;
  std::optional<uint32_t> id = std::nullopt;
};

class AddedTokenFinder {
 public:
  // kBadTokenizer for an empty content, one over kMaxAddedTokenBytes, and one that occurs twice.
  static Result<AddedTokenFinder> Make(std::span<const AddedToken> tokens);

  // Cuts `text` at the tokens in it: the leftmost first, the longest of those. Time
  // O(n log tokens), for contents of bounded length.
  std::vector<TextSegment> Split(std::string_view text) const;

 private:
  // The longest token at the beginning of `text`, or nullptr.
  const AddedToken* Match(std::string_view text) const;

  std::vector<AddedToken> tokens_;  // by content
};

}  // namespace tessera
