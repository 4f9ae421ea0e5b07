#include "formats/vocabulary.h"

#include <algorithm>
#include <tuple>

#include "formats/json.h"

namespace tessera {
namespace {

uint64_t PrefixOf(std::string_view text) {
  uint64_t prefix = 0;
  for (size_t i = 0; i < sizeof prefix; ++i) {
    prefix = prefix << 8 | (i < text.size() ? static_cast<uint8_t>(text[i]) : 0);
  }
  return prefix;
}

}  // namespace

Result<Vocabulary> Vocabulary::Make(std::vector<std::pair<std::string, uint32_t>> pieces) {
  Vocabulary made;
  for (auto& [text, id] : pieces) {
    if (text.empty()) return Fail(ErrorCode::kBadTokenizer, "a piece of the vocabulary is empty");
    if (id >= kMaxVocabulary) {
      return Fail(Error(ErrorCode::kBadTokenizer, "the id of " + QuoteJson(text) + " is too large")
                      .Expected("less than " + std::to_string(kMaxVocabulary))
                      .Found(std::to_string(id)));
    }
    if (id >= made.by_id_.size()) made.by_id_.resize(id + size_t{1});
    if (!made.by_id_[id].empty()) {
      return Fail(ErrorCode::kBadTokenizer,
                  "two pieces of the vocabulary have id " + std::to_string(id) + ": " +
                      QuoteJson(made.by_id_[id]) + " and " + QuoteJson(text));
    }
    made.sorted_.push_back({PrefixOf(text), id});
    made.by_id_[id] = std::move(text);
  }
  const auto key = [&](const Entry& entry) {
    return std::tuple(entry.prefix, std::string_view(made.by_id_[entry.id]));
  };
  std::ranges::sort(made.sorted_, {}, key);
  const auto twin = std::ranges::adjacent_find(made.sorted_, {}, key);
  if (twin != made.sorted_.end()) {
    return Fail(ErrorCode::kBadTokenizer,
                QuoteJson(made.by_id_[twin->id]) + " is twice in the vocabulary");
  }
  return made;
}

const std::string& Vocabulary::Text(uint32_t id) const {
  static const std::string kNone;
  return id < by_id_.size() ? by_id_[id] : kNone;
}

std::optional<uint32_t> Vocabulary::Find(std::string_view text) const {
  const uint64_t prefix = PrefixOf(text);
  const auto before = [&](const Entry& entry, std::string_view wanted) {
    return entry.prefix != prefix ? entry.prefix < prefix : by_id_[entry.id] < wanted;
  };
  const auto found = std::lower_bound(sorted_.begin(), sorted_.end(), text, before);
  if (found == sorted_.end() || by_id_[found->id] != text) return std::nullopt;
  return found->id;
}

}  // namespace tessera
