// tokenizer.json, as the `tokenizers` package writes it.
#include <algorithm>
#include <limits>

#include "formats/json_fields.h"
#include "formats/tokenizer_spec.h"

namespace tessera {
namespace {

constexpr uint64_t kMaxTokenizerBytes = uint64_t{64} << 20;

using Ids = std::vector<uint32_t>;

std::unexpected<Error> Bad(std::string what) {
  return Fail(ErrorCode::kBadTokenizer, std::move(what));
}

// The field, which must be there.
Result<const Json*> Require(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return Bad("the tokenizer has no `" + std::string(name) + "`");
  return &*found;
}

// For what would change the text or the ids and does not occur in byte-level tokenizers.
Result<void> RequireUnset(const Json& json, const char* name) {
  const auto found = json.find(name);
  const bool unset = found == json.end() || found->is_null() || *found == Json(false) ||
                     *found == Json("") || *found == Json(0.0);
  if (unset) return {};
  return Fail(Error(ErrorCode::kUnsupported,
                    "the tokenizer sets `" + std::string(name) + "`, which is not supported")
                  .Found(found->dump(-1, ' ', false, Json::error_handler_t::replace)));
}

Result<Vocabulary> ReadVocabulary(const Json& model) {
  TESSERA_ASSIGN(const Json* const vocab, Require(model, "vocab"));
  if (!vocab->is_object()) return Bad("`vocab` is no JSON object");
  std::vector<std::pair<std::string, uint32_t>> pieces;
  pieces.reserve(vocab->size());
  for (const auto& [text, id] : vocab->items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > std::numeric_limits<uint32_t>::max()) {
      return Bad("the id of " + QuoteJson(text) + " is no id");
    }
    pieces.emplace_back(text, id.get<uint32_t>());
  }
  return Vocabulary::Make(std::move(pieces));
}

// Left and right part of a merge in either spelling, "a b" or ["a", "b"].
Result<std::pair<std::string_view, std::string_view>> MergeParts(const Json& merge) {
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair<std::string_view, std::string_view>(merge[0].get_ref<const std::string&>(),
                                                         merge[1].get_ref<const std::string&>());
  }
  return Fail(Error(ErrorCode::kBadTokenizer, "a merge is malformed")
                  .Expected("\"left right\" or [\"left\", \"right\"]")
                  .Found(merge.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

Result<std::vector<BpeMerge>> ReadMerges(const Json& model, const Vocabulary& vocabulary) {
  TESSERA_ASSIGN(const Json* const list, Require(model, "merges"));
  if (!list->is_array()) return Bad("`merges` is no JSON array");
  std::vector<BpeMerge> merges;
  merges.reserve(list->size());
  for (const Json& merge : *list) {
    TESSERA_ASSIGN(const auto parts, MergeParts(merge));
    const auto left = vocabulary.Find(parts.first), right = vocabulary.Find(parts.second);
    const auto result = vocabulary.Find(std::string(parts.first) + std::string(parts.second));
    if (!left || !right || !result) {
      return Bad("merge " + std::to_string(merges.size()) + ", " +
                 merge.dump(-1, ' ', false, Json::error_handler_t::replace) +
                 ", has a part or a result that the vocabulary lacks");
    }
    merges.push_back({*left, *right, *result});
  }
  return merges;
}

// Ids in tokenizer.json are for reading; `tokenizers` takes those of the vocabulary and numbers the
// other tokens on from it. Where the two differ, somebody is wrong.
Result<std::vector<AddedToken>> ReadAddedTokens(const Json& root, const Vocabulary& vocabulary) {
  const auto list = root.find("added_tokens");
  std::vector<AddedToken> added;
  if (list == root.end()) return added;
  if (!list->is_array()) return Bad("`added_tokens` is no JSON array");
  auto next = static_cast<uint32_t>(vocabulary.size());
  for (const Json& token : *list) {
    const std::string what = "an added token";
    TESSERA_TRY(
        CheckFields(token, what,
                    {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
    TESSERA_TRY(RequireUnset(token, "single_word"));
    AddedToken read;
    TESSERA_ASSIGN(read.id, IdField(token, what, "id"));
    TESSERA_ASSIGN(read.content, StringField(token, what, "content"));
    TESSERA_ASSIGN(read.strip_left, BoolField(token, what, "lstrip"));
    TESSERA_ASSIGN(read.strip_right, BoolField(token, what, "rstrip"));
    TESSERA_ASSIGN(read.normalized, BoolField(token, what, "normalized"));
    TESSERA_ASSIGN(read.special, BoolField(token, what, "special"));
    const std::optional<uint32_t> known = vocabulary.Find(read.content);
    const uint32_t expected = known ? *known : next++;
    if (read.id != expected) {
      return Fail(Error(ErrorCode::kBadTokenizer,
                        "added token " + QuoteJson(read.content) + " has another id than it gets")
                      .Expected(std::to_string(expected) +
                                (known ? ", as in the vocabulary" : ", the next one free"))
                      .Found(std::to_string(read.id)));
    }
    added.push_back(std::move(read));
  }
  std::ranges::sort(added, {}, &AddedToken::id);
  return added;
}

Result<void> CheckNormalizer(const Json& root) {
  const auto normalizer = root.find("normalizer");
  if (normalizer == root.end() || normalizer->is_null()) return {};
  TESSERA_TRY(CheckFields(*normalizer, "the normalizer", {"type", "normalizers"}));
  if (*normalizer == Json({{"type", "Sequence"}, {"normalizers", Json::array()}})) return {};
  return Fail(
      Error(ErrorCode::kUnsupported, "the tokenizer normalizes text, which is not supported")
          .Found(normalizer->dump(-1, ' ', false, Json::error_handler_t::replace)));
}

// The ids of one item of a template that is a special token.
Result<Ids> TemplateIds(const Json& item, const Json& processor) {
  TESSERA_TRY(CheckFields(item, "a template's item", {"SpecialToken"}));
  TESSERA_ASSIGN(const std::string name,
                 StringField(item["SpecialToken"], "a template's item", "id"));
  TESSERA_ASSIGN(const Json* const tokens, Require(processor, "special_tokens"));
  TESSERA_ASSIGN(const Json* const token, Require(*tokens, name.c_str()));
  TESSERA_ASSIGN(const Json* const list, Require(*token, "ids"));
  Ids ids;
  for (const Json& id : *list) {
    TESSERA_ASSIGN(const uint32_t value, IdField({{"id", id}}, "a template's token", "id"));
    ids.push_back(value);
  }
  return ids;
}

Result<TokenFrame> ReadTemplate(const Json& processor) {
  TESSERA_ASSIGN(const Json* const items, Require(processor, "single"));
  TokenFrame frame;
  bool text_seen = false;
  for (const Json& item : *items) {
    if (item.is_object() && item.contains("Sequence")) {
      if (text_seen) return Bad("the tokenizer's template has the text twice");
      text_seen = true;
      continue;
    }
    TESSERA_ASSIGN(const Ids ids, TemplateIds(item, processor));
    Ids& side = text_seen ? frame.after : frame.before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (!text_seen) return Bad("the tokenizer's template has no text");
  return frame;
}

Result<void> AddPostProcessor(const Json& processor, TokenFrame& frame, int depth) {
  constexpr int kMaxDepth = 4;
  if (processor.is_null()) return {};
  TESSERA_ASSIGN(const std::string type, StringField(processor, "the post-processor", "type"));
  if (type == "ByteLevel") return {};  // moves offsets, no ids
  if (type == "TemplateProcessing" && frame.before.empty() && frame.after.empty()) {
    TESSERA_ASSIGN(frame, ReadTemplate(processor));
    return {};
  }
  if (type == "Sequence" && depth < kMaxDepth) {
    TESSERA_ASSIGN(const Json* const processors, Require(processor, "processors"));
    for (const Json& one : *processors) TESSERA_TRY(AddPostProcessor(one, frame, depth + 1));
    return {};
  }
  return Fail(
      Error(ErrorCode::kUnsupported, "unknown post-processor of the tokenizer").Found(type));
}

// Options without effect on byte-level BPE may stand there if they are off.
Result<void> CheckModel(const Json& model) {
  TESSERA_TRY(CheckFields(
      model, "the tokenizer's model",
      {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
       "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"}));
  TESSERA_ASSIGN(const std::string type, StringField(model, "the tokenizer's model", "type"));
  if (type != "BPE") {
    return Fail(Error(ErrorCode::kUnsupported, "the tokenizer is not supported")
                    .Expected("a model of type BPE")
                    .Found(type));
  }
  for (const char* option :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
    TESSERA_TRY(RequireUnset(model, option));
  }
  // unk_token and fuse_unk are about bytes without a piece, and every byte has one.
  return {};
}

}  // namespace

Result<TokenizerSpec> ReadTokenizerJson(const std::filesystem::path& folder,
                                        std::optional<Json> config) {
  // A vocabulary has more keys than a config may have, a dozen bytes each.
  TESSERA_ASSIGN(const Json root, ReadJsonFile((folder / "tokenizer.json").string(),
                                               kMaxTokenizerBytes, kMaxVocabulary));
  TESSERA_TRY(CheckFields(root, "the tokenizer",
                          {"version", "truncation", "padding", "added_tokens", "normalizer",
                           "pre_tokenizer", "post_processor", "decoder", "model"}));
  TESSERA_TRY(RequireUnset(root, "truncation"));
  TESSERA_TRY(RequireUnset(root, "padding"));
  TESSERA_TRY(CheckNormalizer(root));
  TESSERA_ASSIGN(const Json* const model, Require(root, "model"));
  TESSERA_TRY(CheckModel(*model));
  TESSERA_ASSIGN(const Json* const split, Require(root, "pre_tokenizer"));
  TESSERA_ASSIGN(PreTokenizer pre_tokenizer, PreTokenizer::FromJson(*split));
  TESSERA_ASSIGN(Vocabulary vocabulary, ReadVocabulary(*model));
  TESSERA_ASSIGN(std::vector<BpeMerge> merges, ReadMerges(*model, vocabulary));
  TESSERA_ASSIGN(std::vector<AddedToken> added, ReadAddedTokens(root, vocabulary));
  Json post_processor;
  if (root.contains("post_processor")) post_processor = root["post_processor"];
  TokenFrame frame;
  TESSERA_TRY(AddPostProcessor(post_processor, frame, 0));
  const auto whole_words = model->find("ignore_merges");
  return TokenizerSpec{.kind = TokenizerKind::kTokenizerJson,
                       .vocabulary = std::move(vocabulary),
                       .merges = std::move(merges),
                       .whole_words = whole_words != model->end() && *whole_words == Json(true),
                       .added = std::move(added),
                       .pre_tokenizer = std::move(pre_tokenizer),
                       .post_processor = std::move(post_processor),
                       .frame = std::move(frame),
                       .config = std::move(config)};
}

}  // namespace tessera
