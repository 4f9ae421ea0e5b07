// The regular expressions by which the tokenizers of these models cut text into words, and the only
// place that knows PCRE2. They are written for Oniguruma (`tokenizers`) or Rust's regex (tiktoken),
// whose classes differ from PCRE2's in places: each known one has a counterpart that means the same
// and takes linear time; others are refused.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "formats/result.h"

namespace tessera {

// Immutable and cheap to copy.
class SplitPattern {
 public:
  // `regex` as upstream writes it, line ends escaped or not. kUnsupported unless it is known.
  static Result<SplitPattern> Make(std::string_view regex);

  // What it is called here (the table in split_pattern.cc).
  std::string_view name() const { return name_; }

  // Cuts each piece, which is UTF-8, into the matches and what lies between them.
  Result<std::vector<std::string_view>> Split(std::span<const std::string_view> pieces) const;

 private:
  struct Code;
  SplitPattern(std::string_view name, std::shared_ptr<const Code> code)
      : name_(name), code_(std::move(code)) {}

  std::string_view name_;
  std::shared_ptr<const Code> code_;
};

// Regexes that no tokenizer.json spells out: of Digits, one by one and together, and ByteLevel.
inline constexpr std::string_view kDigitRegex = R"(\p{N})";
inline constexpr std::string_view kDigitsRegex = R"(\p{N}+)";
inline constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace tessera
