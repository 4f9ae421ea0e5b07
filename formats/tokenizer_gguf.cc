#include "formats/tokenizer_gguf.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "formats/byte_spelling.h"
#include "formats/chat_template.h"
#include "formats/json_fields.h"
#include "formats/special_tokens.h"
#include "formats/tokenizer_spec.h"

namespace tessera {
namespace {

enum TokenType : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

// What llama.cpp calls the ways of splitting text that it shares with these tokenizers.
Result<std::string> PreTokenizerName(const PreTokenizer& pre_tokenizer) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"three-digits kana v3-words", "deepseek-v3"},
      {"line-ends cased marks trailing wide digit", "deepseek-llm"},
      {"line-ends letters punctuation wide digit", "deepseek-coder"},
      {"kimi", "kimi-k2"},
  };
  const std::string description = pre_tokenizer.Description();
  for (const auto& [known, name] : kNames) {
    if (description == known) return std::string(name);
  }
  return Fail(Error(ErrorCode::kUnsupported,
                    "llama.cpp has no name for the way in which this tokenizer splits text")
                  .Expected("the patterns of DeepSeek-V2, DeepSeek-V3, DeepSeek-Coder or Kimi-K2")
                  .Found(description)
                  .Next("write the model without its tokenizer: --no-tokenizer"));
}

// Some releases forgot to say that a token is special; its form tells.
bool LooksSpecial(std::string_view text) {
  const auto framed = [text](std::string_view begin, std::string_view end) {
    return text.starts_with(begin) && text.ends_with(end);
  };
  return text == "<pad>" || text == "<mask>" || text == "<2mass>" || text == "[@BOS@]" ||
         framed("<|", "|>") || framed("<\uFF5C", "\uFF5C>") || framed("<unused", ">");
}

struct TokenList {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
};

// A token that is taken from text as it stands is written as it decodes.
Result<std::string> AsDecoded(const AddedToken& token) {
  if (token.normalized) return token.content;
  const std::optional<std::string> bytes = UnspellBytes(token.content);
  if (!bytes) return token.content;
  if (!FindNonUtf8(*bytes)) return *bytes;
  return Fail(ErrorCode::kUnsupported,
              "added token " + QuoteJson(token.content) + " spells bytes that are not UTF-8");
}

std::string WithSpaces(std::string_view text) {
  constexpr std::string_view kMark = "\u2581";
  std::string spaced;
  while (!text.empty()) {
    const bool mark = text.starts_with(kMark);
    spaced += mark ? ' ' : text.front();
    text.remove_prefix(mark ? kMark.size() : 1);
  }
  return spaced;
}

// Tokens named in tokenizer_config.json are special whatever the tokenizer says of them.
Result<std::set<std::string, std::less<>>> NamedTokens(const std::optional<Json>& config) {
  std::set<std::string, std::less<>> named;
  for (const char* role : {"bos", "eos", "unk", "sep", "pad", "cls", "mask"}) {
    TESSERA_ASSIGN(const auto text, SpecialTokenText(config, role));
    if (text) named.insert(*text);
  }
  if (!config) return named;
  const auto more = config->find("additional_special_tokens");
  if (more == config->end() || !more->is_array()) return named;
  for (const Json& token : *more) {
    if (token.is_string()) {
      named.insert(token.get<std::string>());
    } else {
      TESSERA_ASSIGN(std::string text, StringField(token, "additional_special_tokens", "content"));
      named.insert(std::move(text));
    }
  }
  return named;
}

Result<void> PutAddedToken(const AddedToken& token, bool named, TokenList& list) {
  std::string& text = list.texts[token.id];
  int32_t& type = list.types[token.id];
  TESSERA_ASSIGN(text, AsDecoded(token));
  type = named || token.special || LooksSpecial(text) ? kControl : kUserDefined;
  if (type == kUserDefined) text = WithSpaces(text);
  return {};
}

Result<TokenList> ListTokens(const TokenizerSpec& spec, uint32_t vocab_size) {
  if (spec.vocabulary.id_limit() > vocab_size) {
    return Fail(Error(ErrorCode::kBadTokenizer,
                      "the tokenizer has more tokens than the model has embeddings")
                    .Expected("ids below " + std::to_string(vocab_size))
                    .Found(std::to_string(spec.vocabulary.id_limit() - 1)));
  }
  TokenList list;
  for (uint32_t id = 0; id < vocab_size; ++id) {
    const std::string& text = spec.vocabulary.Text(id);
    list.texts.push_back(text.empty() ? "[PAD" + std::to_string(id) + "]" : text);
    list.types.push_back(text.empty() ? kUnused : kNormal);
  }
  TESSERA_ASSIGN(const auto named, NamedTokens(spec.config));
  const bool tiktoken = spec.kind == TokenizerKind::kTiktoken;
  for (const AddedToken& token : spec.added) {
    if (token.id < vocab_size && tiktoken) {
      list.texts[token.id] = token.content;
      list.types[token.id] = kControl;
    } else if (token.id < vocab_size) {
      TESSERA_TRY(PutAddedToken(token, named.contains(token.content), list));
    } else if (!tiktoken) {  // of tiktoken's 258 a model has as many as it has room for
      return Fail(Error(ErrorCode::kBadTokenizer, "added token " + QuoteJson(token.content) +
                                                      " has no embedding in the model")
                      .Expected("an id below " + std::to_string(vocab_size))
                      .Found(std::to_string(token.id)));
    }
  }
  std::set<std::string_view> seen;
  for (const std::string& text : list.texts) {
    if (!seen.insert(text).second) {
      return Fail(Error(ErrorCode::kUnsupported, "two tokens have the text " + QuoteJson(text) +
                                                     ", which llama.cpp refuses"));
    }
  }
  return list;
}

// "left right" each. A space in a part would be taken for the one between the parts.
std::string MergeText(const std::string& left, const std::string& right) {
  constexpr std::string_view kSpelledSpace = "\u0120";
  std::string merge;
  for (const char c : left) merge += c == ' ' ? std::string(kSpelledSpace) : std::string(1, c);
  merge += ' ';
  for (const char c : right) merge += c == ' ' ? std::string(kSpelledSpace) : std::string(1, c);
  return merge;
}

// tiktoken has no merges: of each piece the last one is what is left when it is put together by
// merges of lower rank. Those of which more than two parts are left get none.
Result<std::vector<std::string>> RecoverMerges(const Vocabulary& vocabulary) {
  TESSERA_ASSIGN(const Bpe bpe, Bpe::FromRanks(vocabulary));
  std::vector<std::string> merges;
  for (uint32_t id = 0; id < vocabulary.id_limit(); ++id) {
    const std::optional<std::string> bytes = UnspellBytes(vocabulary.Text(id));
    TESSERA_CHECK(bytes.has_value());
    std::vector<uint32_t> parts;
    bpe.Encode(*bytes, parts, id);
    if (bytes->size() > 1 && parts.size() == 2) {
      merges.push_back(MergeText(vocabulary.Text(parts[0]), vocabulary.Text(parts[1])));
    }
  }
  return merges;
}

Result<std::vector<std::string>> ListMerges(const TokenizerSpec& spec) {
  if (spec.kind == TokenizerKind::kTiktoken) return RecoverMerges(spec.vocabulary);
  std::vector<std::string> merges;
  for (const BpeMerge& merge : spec.merges) {
    merges.push_back(
        MergeText(spec.vocabulary.Text(merge.left), spec.vocabulary.Text(merge.right)));
  }
  return merges;
}

// The converter's spellings; roles without a key are left out.
void PutSpecialTokens(const SpecialTokens& tokens, GgufMetadata& metadata) {
  const std::map<std::string, std::string, std::less<>> kIdKeys = {
      {"bos", "bos"},       {"eos", "eos"},     {"eot", "eot"},  {"unk", "unknown"},
      {"sep", "seperator"}, {"pad", "padding"}, {"mask", "mask"}};
  for (const auto& [role, id] : tokens.ids) {
    if (const auto key = kIdKeys.find(role); key != kIdKeys.end()) {
      metadata.emplace_back("tokenizer.ggml." + key->second + "_token_id", id);
    }
  }
  for (const auto& [role, added] : tokens.added) {
    if (role == "bos" || role == "eos" || role == "sep") {
      metadata.emplace_back("tokenizer.ggml.add_" + role + "_token", added);
    }
  }
}

void PutChatTemplates(const ChatTemplates& templates, GgufMetadata& metadata) {
  std::vector<std::string> names;
  for (const auto& [name, text] : templates.named) {
    names.push_back(name);
    metadata.emplace_back("tokenizer.chat_template." + name, text);
  }
  if (!names.empty()) metadata.emplace_back("tokenizer.chat_templates", std::move(names));
  if (templates.main) metadata.emplace_back("tokenizer.chat_template", *templates.main);
}

Result<GgufMetadata> Collect(const TokenizerSpec& spec, const std::filesystem::path& folder,
                             const Json& config) {
  TESSERA_ASSIGN(const uint32_t vocab_size, IdField(config, "config.json", "vocab_size"));
  if (vocab_size > kMaxVocabulary) {
    return Fail(Error(ErrorCode::kBadConfig, "vocab_size is too large")
                    .Expected("at most " + std::to_string(kMaxVocabulary)));
  }
  TESSERA_ASSIGN(std::string pre, PreTokenizerName(spec.pre_tokenizer));
  TESSERA_ASSIGN(TokenList list, ListTokens(spec, vocab_size));
  TESSERA_ASSIGN(std::vector<std::string> merges, ListMerges(spec));
  TESSERA_ASSIGN(const SpecialTokens special, FindSpecialTokens(spec, config));
  TESSERA_ASSIGN(const ChatTemplates templates, ReadChatTemplates(folder, spec.config));
  for (const auto& [role, id] : special.ids) {
    if (id < vocab_size) continue;
    return Fail(Error(ErrorCode::kBadTokenizer, "the " + role + " token has no embedding")
                    .Expected("an id below " + std::to_string(vocab_size))
                    .Found(std::to_string(id)));
  }
  GgufMetadata metadata;
  metadata.emplace_back("tokenizer.ggml.model", std::string("gpt2"));
  metadata.emplace_back("tokenizer.ggml.pre", std::move(pre));
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(list.texts));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(list.types));
  metadata.emplace_back("tokenizer.ggml.merges", std::move(merges));
  PutSpecialTokens(special, metadata);
  PutChatTemplates(templates, metadata);
  return metadata;
}

}  // namespace

Result<GgufMetadata> TokenizerMetadata(const std::filesystem::path& folder, const Json& config) {
  TESSERA_ASSIGN(const TokenizerSpec spec, ReadTokenizerSpec(folder));
  Result<GgufMetadata> metadata = Collect(spec, folder, config);
  if (!metadata) return Fail(std::move(metadata).error().Within(folder.string()));
  return metadata;
}

}  // namespace tessera
