// Text to token ids, as the tokenizer beside a checkpoint does it: tokenizer.json (byte-level BPE,
// as the `tokenizers` package runs it) or tiktoken.model (Kimi-K2, Moonlight).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "formats/result.h"

namespace tessera {

inline constexpr uint64_t kMaxTextBytes = uint64_t{64} << 20;

// Immutable, hence shareable between threads.
class Tokenizer {
 public:
  // `folder` is a model's. kNotFound if it holds no tokenizer, kBadTokenizer for a malformed one,
  // kUnsupported for a well-formed one that would have to be guessed at: a normalizer, a
  // pre-tokenizer pattern or a model that is not known here.
  static Result<Tokenizer> Open(const std::filesystem::path& folder);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Added tokens within the text become their ids; the beginning-of-sentence token goes in front
  // where the tokenizer says so. kUsage unless `text` is UTF-8 of at most kMaxTextBytes in
  // characters that the pattern library knows. Time O(n log n).
  Result<std::vector<uint32_t>> Encode(std::string_view text) const;

 private:
  struct Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace tessera
