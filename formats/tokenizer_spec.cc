#include "formats/tokenizer_spec.h"

#include <algorithm>
#include <map>

#include "formats/json_fields.h"

namespace tessera {
namespace {

// What tokenizer_config.json says of added tokens has the last word upstream; where it says
// something else than the tokenizer, somebody edited one of the two.
Result<void> CheckAddedTokens(const TokenizerSpec& spec) {
  if (!spec.config) return {};
  const auto listed = spec.config->find("added_tokens_decoder");
  if (listed == spec.config->end() || !listed->is_object()) return {};
  std::map<std::string_view, const AddedToken*> by_content;
  for (const AddedToken& token : spec.added) by_content[token.content] = &token;
  for (const auto& [id, token] : listed->items()) {
    TESSERA_ASSIGN(const std::string content, StringField(token, "added token " + id, "content"));
    const auto found = by_content.find(content);
    const AddedToken* const added = found == by_content.end() ? nullptr : found->second;
    const bool same = added && std::to_string(added->id) == id &&
                      token.value("lstrip", Json(false)) == Json(added->strip_left) &&
                      token.value("rstrip", Json(false)) == Json(added->strip_right);
    if (!same) {
      return Fail(Error(ErrorCode::kUnsupported,
                        "tokenizer_config.json and the tokenizer disagree about added token " +
                            QuoteJson(content))
                      .Expected(added ? "id " + std::to_string(added->id) + ", as the tokenizer has"
                                      : "none, as the tokenizer has")
                      .Found("id " + id));
    }
  }
  return {};
}

// The id of the token that texts get as `role`.
Result<uint32_t> AddedId(const TokenizerSpec& spec, std::string_view role) {
  TESSERA_ASSIGN(const auto text, SpecialTokenText(spec.config, role));
  const AddedToken* const token = text ? spec.FindAdded(*text) : nullptr;
  if (token) return token->id;
  return Fail(Error(ErrorCode::kBadTokenizer,
                    "tokenizer_config.json adds a token to texts that the tokenizer lacks")
                  .Expected(std::string(role) + "_token, one of the added tokens")
                  .Found(text ? QuoteJson(*text) : "none"));
}

}  // namespace

const AddedToken* TokenizerSpec::FindAdded(std::string_view content) const {
  const auto found = std::ranges::find(added, content, &AddedToken::content);
  return found == added.end() ? nullptr : &*found;
}

Result<std::optional<std::string>> SpecialTokenText(const std::optional<Json>& config,
                                                    std::string_view role) {
  const std::string name = std::string(role) + "_token";
  if (!config || !config->contains(name) || (*config)[name].is_null()) return std::nullopt;
  const Json& token = (*config)[name];
  if (token.is_object()) return StringField(token, name, "content");
  return StringField(*config, "tokenizer_config.json", name.c_str());
}

Result<std::optional<bool>> AddsSpecialToken(const std::optional<Json>& config,
                                             std::string_view role) {
  const std::string name = "add_" + std::string(role) + "_token";
  if (!config || !config->contains(name) || (*config)[name].is_null()) return std::nullopt;
  TESSERA_ASSIGN(const bool adds, BoolField(*config, "tokenizer_config.json", name.c_str()));
  return adds;
}

Result<TokenFrame> FrameOf(const TokenizerSpec& spec) {
  TESSERA_ASSIGN(const std::optional<bool> bos, AddsSpecialToken(spec.config, "bos"));
  TESSERA_ASSIGN(const std::optional<bool> eos, AddsSpecialToken(spec.config, "eos"));
  if (!bos && !eos) return spec.frame;
  TokenFrame frame;
  if (bos.value_or(false)) {
    TESSERA_ASSIGN(const uint32_t id, AddedId(spec, "bos"));
    frame.before = {id};
  }
  if (eos.value_or(false)) {
    TESSERA_ASSIGN(const uint32_t id, AddedId(spec, "eos"));
    frame.after = {id};
  }
  return frame;
}

Result<TokenizerSpec> ReadTokenizerSpec(const std::filesystem::path& folder) {
  std::optional<Json> config;
  std::error_code ignored;
  if (const auto path = folder / "tokenizer_config.json"; std::filesystem::exists(path, ignored)) {
    TESSERA_ASSIGN(config, ReadJsonFile(path.string()));
    if (!config->is_object()) {
      return Fail(Error(ErrorCode::kBadTokenizer, "the tokenizer's config is no JSON object")
                      .In(path.string()));
    }
  }
  for (const auto& [name, read] : {std::pair("tokenizer.json", &ReadTokenizerJson),
                                   std::pair("tiktoken.model", &ReadTiktoken)}) {
    if (!std::filesystem::exists(folder / name, ignored)) continue;
    Result<TokenizerSpec> spec = read(folder, std::move(config));
    if (!spec) return Fail(std::move(spec).error().Within((folder / name).string()));
    if (Result<void> checked = CheckAddedTokens(*spec); !checked) {
      return Fail(std::move(checked).error().Within((folder / "tokenizer_config.json").string()));
    }
    return spec;
  }
  return Fail(Error(ErrorCode::kNotFound, "there is no tokenizer beside the checkpoint")
                  .In(folder.string())
                  .Expected("tokenizer.json, or tiktoken.model with tokenizer_config.json")
                  .Next("put the original's there: the one in a GGUF file is not read"));
}

}  // namespace tessera
