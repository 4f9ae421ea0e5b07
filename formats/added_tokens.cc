#include "formats/added_tokens.h"

#include <algorithm>

#include "formats/json.h"
#include "formats/unicode.h"

namespace tessera {
namespace {

// How much white space is at the beginning and at the end of a text, in bytes.
size_t LeadingSpace(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && IsWhiteSpace(CodePointAt(text, at))) at += Utf8Bytes(text[at]);
  return at;
}

size_t TrailingSpace(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t begin = end - 1;
    while ((static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!IsWhiteSpace(CodePointAt(text, begin))) break;
    end = begin;
  }
  return text.size() - end;
}

}  // namespace

Result<AddedTokenFinder> AddedTokenFinder::Make(std::span<const AddedToken> tokens) {
  AddedTokenFinder finder;
  finder.tokens_.assign(tokens.begin(), tokens.end());
  std::ranges::sort(finder.tokens_, {}, &AddedToken::content);
  for (size_t i = 0; i < finder.tokens_.size(); ++i) {
    const std::string& content = finder.tokens_[i].content;
    if (content.empty() || content.size() > kMaxAddedTokenBytes) {
      return Fail(
          Error(ErrorCode::kBadTokenizer, "added token " + std::to_string(finder.tokens_[i].id) +
                                              " has " + std::to_string(content.size()) + " bytes")
              .Expected("from 1 to " + std::to_string(kMaxAddedTokenBytes)));
    }
    if (i > 0 && finder.tokens_[i - 1].content == content) {
      return Fail(ErrorCode::kBadTokenizer, QuoteJson(content) + " is twice an added token");
    }
  }
  return finder;
}

const AddedToken* AddedTokenFinder::Match(std::string_view text) const {
  const AddedToken* longest = nullptr;
  auto begin = tokens_.begin(), end = tokens_.end();
  // Narrows down to the contents that begin with the first `bytes` bytes of the text.
  for (size_t bytes = 1; bytes <= text.size() && begin != end; ++bytes) {
    const auto beginning = [bytes](const AddedToken& token) {
      return std::string_view(token.content).substr(0, bytes);
    };
    const auto range = std::ranges::equal_range(begin, end, text.substr(0, bytes), {}, beginning);
    begin = range.begin();
    end = range.end();
    // Only the shortest of them can be as short as that.
    if (begin != end && begin->content.size() == bytes) longest = &*begin;
  }
  return longest;
}

std::vector<TextSegment> AddedTokenFinder::Split(std::string_view text) const {
  std::vector<TextSegment> segments;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* const token = Match(text.substr(at));
    if (!token) {
      at += Utf8Bytes(text[at]);
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->strip_left && done < begin) begin -= TrailingSpace(text.substr(done, begin - done));
    if (token->strip_right) {
      end = std::max(end, done);  // up to there the token before has looked already
      end += LeadingSpace(text.substr(end));
    }
    if (done < begin) segments.push_back({text.substr(done, begin - done)});
    segments.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) segments.push_back({text.substr(done)});
  return segments;
}

}  // namespace tessera
