// The pieces of a tokenizer, between text and id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/result.h"

namespace tessera {

inline constexpr uint32_t kMaxVocabulary = uint32_t{1} << 21;

class Vocabulary {
 public:
  Vocabulary() = default;
  // Pieces and their ids, in any order; ids may leave gaps. kBadTokenizer for an empty piece, one
  // that occurs twice, an id given twice and one beyond kMaxVocabulary.
  static Result<Vocabulary> Make(std::vector<std::pair<std::string, uint32_t>> pieces);

  size_t size() const { return sorted_.size(); }     // pieces
  size_t id_limit() const { return by_id_.size(); }  // all ids are below
  // Empty where no piece has the id.
  const std::string& Text(uint32_t id) const;
  // O(log n), whatever the pieces: a hash table could be filled with collisions.
  std::optional<uint32_t> Find(std::string_view text) const;

 private:
  struct Entry {
    uint64_t prefix;  // first eight bytes, big-endian: most comparisons need no more
    uint32_t id;
  };

  std::vector<std::string> by_id_;
  std::vector<Entry> sorted_;  // by text
};

}  // namespace tessera
