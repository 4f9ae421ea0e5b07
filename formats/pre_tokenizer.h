// How a tokenizer cuts text into the words that BPE encodes one by one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "formats/result.h"
#include "formats/split_pattern.h"

namespace tessera {

class PreTokenizer {
 public:
  // `pre_tokenizer` of tokenizer.json: Split by known patterns, Digits, ByteLevel, Sequence. What
  // else there is, and every option that would change the text, is kUnsupported.
  static Result<PreTokenizer> FromJson(const Json& json);
  // tiktoken's: one pattern.
  static Result<PreTokenizer> FromRegex(std::string_view regex);

  Result<std::vector<std::string_view>> Split(std::string_view text) const;

  // The names of its patterns in order, separated by spaces; Digits and ByteLevel by the patterns
  // that do the same. Equal descriptions split alike.
  std::string Description() const;

 private:
  PreTokenizer() = default;
  Result<void> AddStep(const Json& json, int depth);
  Result<void> AddSequence(const Json& json, int depth);
  Result<void> AddByteLevel(const Json& json);
  Result<void> AddPattern(std::string_view regex);

  std::vector<SplitPattern> patterns_;
  bool byte_level_ = false;  // words are spelled in bytes: nothing can come after that
};

}  // namespace tessera
