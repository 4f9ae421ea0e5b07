// Byte-pair encoding of one word: neighbours are joined, those of the lowest rank first, the
// leftmost of equals first, until no pair is left.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "formats/result.h"
#include "formats/vocabulary.h"

namespace tessera {

struct BpeMerge {
  uint32_t left, right, result;  // ids
};

class Bpe {
 public:
  // As tokenizer.json has it: `merges` by rank. kBadTokenizer unless the vocabulary, which is in
  // byte spelling, has a piece for each byte, and for a pair that is merged twice.
  static Result<Bpe> FromMerges(const Vocabulary& vocabulary, std::span<const BpeMerge> merges);
  // As tiktoken has it: two pieces join wherever their text is a piece, whose id is the rank.
  static Result<Bpe> FromRanks(const Vocabulary& vocabulary);

  // Appends the ids of a word's bytes. Merges of rank `rank_limit` and up are not made. Time
  // O(n log n).
  void Encode(std::string_view word, std::vector<uint32_t>& ids,
              uint32_t rank_limit = std::numeric_limits<uint32_t>::max()) const;

 private:
  struct Pair {
    uint32_t left, right, rank, result;
  };

  explicit Bpe(const std::array<uint32_t, 256>& bytes) : bytes_(bytes) {}
  // kBadTokenizer if a pair occurs twice.
  Result<void> Index(std::vector<Pair> pairs, const Vocabulary& vocabulary);
  const Pair* Find(uint32_t left, uint32_t right) const;

  std::array<uint32_t, 256> bytes_;
  std::vector<Pair> pairs_;      // by left, then right: hash tables could be filled with collisions
  std::vector<uint32_t> first_;  // by left id, where its pairs begin; one more at the end
};

}  // namespace tessera
