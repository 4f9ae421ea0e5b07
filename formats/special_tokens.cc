#include "formats/special_tokens.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "formats/json_fields.h"

namespace tessera {
namespace {

constexpr std::string_view kRoles[] = {"bos", "eos", "unk", "sep", "pad", "cls", "mask"};

// What a role's token is, as text, in tokenizer_config.json or after a template had its say.
using Texts = std::map<std::string, std::optional<std::string>, std::less<>>;

template <class T>
void Put(std::vector<std::pair<std::string, T>>& list, std::string_view role, T value) {
  const auto found = std::ranges::find(list, role, &std::pair<std::string, T>::first);
  if (found == list.end()) {
    list.emplace_back(role, value);
  } else {
    found->second = value;
  }
}

Result<Texts> ReadTexts(const std::optional<Json>& config) {
  Texts texts;
  for (const std::string_view role : kRoles) {
    TESSERA_ASSIGN(texts[std::string(role)], SpecialTokenText(config, role));
  }
  // They stand in for each other in encoders, which these models are not.
  for (const auto& [encoder_role, role] : {std::pair("cls", "bos"), {"sep", "eos"}}) {
    if (!texts.find(encoder_role)->second || texts.find(role)->second) continue;
    return Fail(Error(ErrorCode::kUnsupported, "tokenizer_config.json has a " +
                                                   std::string(encoder_role) + " token and no " +
                                                   role + " token"));
  }
  return texts;
}

// The special token that an item of a template is, empty for the text.
std::string TemplateToken(const Json& item) {
  const auto token = item.find("SpecialToken");
  if (token == item.end()) return {};
  const auto id = token->find("id");
  return id != token->end() && id->is_string() ? id->get<std::string>() : std::string();
}

// A template that puts tokens around one text: those around it are the beginning and the end.
// Between two texts: a separator.
void ApplyTemplate(const Json& processor, bool has_config, Texts& texts, SpecialTokens& tokens) {
  const auto single = processor.find("single");
  std::string first, last;
  if (single != processor.end() && single->size() > 1) {
    first = TemplateToken(single->front());
    last = TemplateToken(single->back());
  }
  if (!first.empty()) {
    if (has_config && !texts["bos"]) texts["bos"] = first;
    Put(tokens.added, "bos", true);
  }
  if (!last.empty()) {
    // The end of a text that is not the model's end of sequence: the latter becomes that of a turn.
    if (has_config && texts["eos"] != last) texts["eot"] = texts["eos"];
    if (has_config) texts["eos"] = last;
    Put(tokens.added, "eos", true);
  }
  const auto pair = processor.find("pair");
  if (pair == processor.end() || !pair->is_array() || pair->empty()) return;
  size_t begin = 0, end = pair->size();
  if (!first.empty() && TemplateToken((*pair)[0]) == first) ++begin;
  if (!last.empty() && TemplateToken((*pair)[end - 1]) == last) --end;
  if (end < begin + 3) return;  // nothing between the texts
  const std::string middle = TemplateToken((*pair)[begin + 1]);
  const bool separates = !middle.empty() && (middle == texts["sep"] || middle == texts["eos"]);
  const bool next_separates = end == begin + 4 && [&] {
    const std::string next = TemplateToken((*pair)[begin + 2]);
    return !next.empty() && (next == texts["sep"] || next == texts["eos"]);
  }();
  const bool adds = (separates && last.empty()) || next_separates;
  Put(tokens.added, "sep", adds);
  if (adds && has_config && !texts["sep"]) texts["sep"] = texts["eos"];
}

// What else may stand in a list of processors is nobody's template.
bool IsTemplate(const Json& processor) {
  return processor.is_object() && processor.value("type", Json()) == Json("TemplateProcessing");
}

void ApplyPostProcessor(const Json& processor, bool has_config, Texts& texts,
                        SpecialTokens& tokens) {
  if (!processor.is_object()) return;
  if (const auto list = processor.find("processors"); list != processor.end()) {
    for (const Json& one : *list) {
      if (IsTemplate(one)) ApplyTemplate(one, has_config, texts, tokens);
    }
  } else if (IsTemplate(processor)) {
    ApplyTemplate(processor, has_config, texts, tokens);
  }
}

}  // namespace

Result<SpecialTokens> FindSpecialTokens(const TokenizerSpec& spec, const Json& config) {
  TESSERA_ASSIGN(Texts texts, ReadTexts(spec.config));
  SpecialTokens tokens;
  ApplyPostProcessor(spec.post_processor, spec.config.has_value(), texts, tokens);
  std::vector<std::string> roles(std::begin(kRoles), std::end(kRoles));
  if (texts.contains("eot")) roles.emplace_back("eot");
  for (const std::string& role : roles) {
    TESSERA_ASSIGN(const std::optional<bool> added, AddsSpecialToken(spec.config, role));
    if (added) Put(tokens.added, role, *added);
    // Of tiktoken's files the converter knows no tokens by name.
    const std::optional<std::string>& text = texts[role];
    const AddedToken* const token =
        text && spec.kind == TokenizerKind::kTokenizerJson ? spec.FindAdded(*text) : nullptr;
    if (token) Put(tokens.ids, role, token->id);
  }
  for (const std::string& role : roles) {
    const std::string name = role + "_token_id";
    // Lists of ids are for generating text.
    if (const auto id = config.find(name); id == config.end() || !id->is_number_integer()) continue;
    TESSERA_ASSIGN(const uint32_t id, IdField(config, "config.json", name.c_str()));
    const bool known =
        std::ranges::find(tokens.ids, role, &std::pair<std::string, uint32_t>::first) !=
        tokens.ids.end();
    if (!known) tokens.ids.emplace_back(role, id);
  }
  return tokens;
}

}  // namespace tessera
