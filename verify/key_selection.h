// Which keys each query of a sequence attends to, where an indexer chose.
#pragma once

#include <cstdint>
#include <vector>

namespace tessera {

// A bit a pair. Empty: every key up to the query's own position.
class KeySelection {
 public:
  KeySelection() = default;
  explicit KeySelection(uint64_t tokens) : words_((tokens + 63) / 64), bits_(tokens * words_) {}

  bool empty() const { return bits_.empty(); }
  // Different queries may be written at the same time.
  void Select(uint64_t query, uint64_t key) {
    bits_[query * words_ + key / 64] |= uint64_t{1} << (key % 64);
  }
  bool Has(uint64_t query, uint64_t key) const {
    return empty() || (bits_[query * words_ + key / 64] >> (key % 64) & 1) != 0;
  }

 private:
  uint64_t words_ = 0;
  std::vector<uint64_t> bits_;
};

}  // namespace tessera
