#include "verify/tokenizer_match.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/file.h"
#include "formats/json.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxTokenizerBytes = uint64_t{256} << 20;

// Ids by their text, from a tokenizer.json. Events, as a vocabulary has more keys than a tree may.
class TokenTable final : public JsonEvents {
 public:
  using Ids = std::map<std::string, uint64_t>;

  static Result<Ids> Of(const fs::path& file, const std::string& text) {
    TokenTable table;
    Result<bool> whole = ParseJsonEvents(text, table);
    if (!whole) return Fail(std::move(whole).error().Within(file.string()));
    return std::move(table.ids_);
  }

  bool OnObject() override { return Enter(); }
  bool OnArray() override { return Enter(); }
  bool OnArrayEnd() override { return Leave(); }
  bool OnObjectEnd() override {
    if (IsAddedToken() && id_) ids_[content_] = *id_;
    id_.reset();
    return Leave();
  }
  bool OnKey(std::string&& key) override {
    key_ = std::move(key);
    return true;
  }
  bool OnString(std::string&& text) override {
    if (IsAddedToken() && key_ == "content") content_ = std::move(text);
    return true;
  }
  bool OnUnsigned(uint64_t value) override {
    if (IsAddedToken() && key_ == "id") id_ = value;
    if (path_ == std::vector<std::string>{"", "model", "vocab"}) ids_[key_] = value;
    return true;
  }
  bool OnFraction(double) override { return true; }
  bool OnOther(std::string_view) override { return true; }

 private:
  bool Enter() {
    path_.push_back(std::exchange(key_, ""));
    return true;
  }
  bool Leave() {
    path_.pop_back();
    key_.clear();
    return true;
  }
  bool IsAddedToken() const { return path_ == std::vector<std::string>{"", "added_tokens", ""}; }

  std::vector<std::string> path_;  // keys of what is open; of a list's entries the empty one
  std::string key_, content_;
  std::optional<uint64_t> id_;
  Ids ids_;
};

// Formatting, and what is done to a text before it is cut up, may differ.
Result<bool> MeanTheSame(const fs::path& a, const fs::path& b) {
  TESSERA_ASSIGN(const std::string text_a, ReadWholeFile(a, kMaxTokenizerBytes));
  TESSERA_ASSIGN(const std::string text_b, ReadWholeFile(b, kMaxTokenizerBytes));
  if (text_a == text_b) return true;
  if (a.extension() != ".json") return false;
  TESSERA_ASSIGN(const TokenTable::Ids ids_a, TokenTable::Of(a, text_a));
  TESSERA_ASSIGN(const TokenTable::Ids ids_b, TokenTable::Of(b, text_b));
  return ids_a == ids_b;
}

}  // namespace

Result<void> CheckSameTokenizer(const fs::path& a, const fs::path& b) {
  for (const char* name : {"tokenizer.json", "tiktoken.model"}) {
    std::error_code none;
    if (!fs::exists(a / name, none) || !fs::exists(b / name, none)) continue;
    TESSERA_ASSIGN(const bool same, MeanTheSame(a / name, b / name));
    if (same) continue;
    return Fail(Error(ErrorCode::kUsage,
                      "A and B have different tokenizers: an id is not the same text in both")
                    .In((b / name).string())
                    .Expected("the tokens of " + (a / name).string()));
  }
  return {};
}

}  // namespace tessera
