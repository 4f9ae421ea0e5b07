#include "formats/bpe.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <string>
#include <tuple>

#include "formats/byte_spelling.h"
#include "formats/json.h"
#include "formats/unicode.h"

namespace tessera {
namespace {

Result<std::array<uint32_t, 256>> FindBytes(const Vocabulary& vocabulary) {
  std::array<uint32_t, 256> ids{};
  for (size_t byte = 0; byte < ids.size(); ++byte) {
    const std::string spelled = SpellBytes(std::string(1, static_cast<char>(byte)));
    const std::optional<uint32_t> id = vocabulary.Find(spelled);
    if (!id) {
      return Fail(Error(ErrorCode::kBadTokenizer, "the vocabulary has no piece for byte " +
                                                      std::to_string(byte) + ", spelled " +
                                                      QuoteJson(spelled))
                      .Expected("a byte-level vocabulary: one piece for each of the 256 bytes"));
    }
    ids[byte] = *id;
  }
  return ids;
}

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

// A piece of the word under work, in a list linked by index.
struct Symbol {
  uint32_t id, previous, next;
  bool joined;  // to its left neighbour, hence gone
};

struct Candidate {
  uint32_t rank, at, result;

  friend bool operator>(const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.at) > std::tie(b.rank, b.at);
  }
};

}  // namespace

Result<Bpe> Bpe::FromMerges(const Vocabulary& vocabulary, std::span<const BpeMerge> merges) {
  TESSERA_ASSIGN(const auto bytes, FindBytes(vocabulary));
  std::vector<Pair> pairs;
  pairs.reserve(merges.size());
  for (const BpeMerge& merge : merges) {
    pairs.push_back({merge.left, merge.right, static_cast<uint32_t>(pairs.size()), merge.result});
  }
  Bpe bpe(bytes);
  TESSERA_TRY(bpe.Index(std::move(pairs), vocabulary));
  return bpe;
}

Result<Bpe> Bpe::FromRanks(const Vocabulary& vocabulary) {
  TESSERA_ASSIGN(const auto bytes, FindBytes(vocabulary));
  std::vector<Pair> pairs;
  for (uint32_t id = 0; id < vocabulary.id_limit(); ++id) {
    const std::string_view text = vocabulary.Text(id);
    for (size_t cut = 0; cut < text.size(); cut += Utf8Bytes(text[cut])) {
      if (cut == 0) continue;
      const auto left = vocabulary.Find(text.substr(0, cut));
      const auto right = vocabulary.Find(text.substr(cut));
      if (left && right) pairs.push_back({*left, *right, id, id});
    }
  }
  Bpe bpe(bytes);
  TESSERA_TRY(bpe.Index(std::move(pairs), vocabulary));
  return bpe;
}

Result<void> Bpe::Index(std::vector<Pair> pairs, const Vocabulary& vocabulary) {
  const auto key = [](const Pair& pair) { return std::tuple(pair.left, pair.right); };
  std::ranges::sort(pairs, {}, key);
  if (const auto twin = std::ranges::adjacent_find(pairs, {}, key); twin != pairs.end()) {
    return Fail(ErrorCode::kBadTokenizer, QuoteJson(vocabulary.Text(twin->left)) + " and " +
                                              QuoteJson(vocabulary.Text(twin->right)) +
                                              " are merged twice");
  }
  first_.assign(vocabulary.id_limit() + 1, 0);
  for (const Pair& pair : pairs) ++first_[pair.left + size_t{1}];
  for (size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  pairs_ = std::move(pairs);
  return {};
}

const Bpe::Pair* Bpe::Find(uint32_t left, uint32_t right) const {
  const Pair* const end = pairs_.data() + first_[left + size_t{1}];
  const Pair* const found = std::ranges::lower_bound(pairs_.data() + first_[left], end, right, {},
                                                     [](const Pair& pair) { return pair.right; });
  return found != end && found->right == right ? found : nullptr;
}

void Bpe::Encode(std::string_view word, std::vector<uint32_t>& ids, uint32_t rank_limit) const {
  std::vector<Symbol> symbols(word.size());
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i] = {.id = bytes_[static_cast<uint8_t>(word[i])],
                  .previous = i == 0 ? kNone : i - 1,
                  .next = i + 1 == symbols.size() ? kNone : i + 1,
                  .joined = false};
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](uint32_t at) {
    if (at == kNone || symbols[at].next == kNone) return;
    const Pair* const pair = Find(symbols[at].id, symbols[symbols[at].next].id);
    if (pair && pair->rank < rank_limit) candidates.push({pair->rank, at, pair->result});
  };
  for (uint32_t i = 0; i < symbols.size(); ++i) consider(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbols[best.at];
    if (left.joined || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    // Either may have grown since. Results are compared, not pairs: that is what `tokenizers` does.
    const Pair* const pair = Find(left.id, right.id);
    if (!pair || pair->result != best.result) continue;
    left.id = best.result;
    left.next = right.next;
    right.joined = true;
    if (left.next != kNone) symbols[left.next].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  for (const Symbol& symbol : symbols) {
    if (!symbol.joined) ids.push_back(symbol.id);
  }
}

}  // namespace tessera
