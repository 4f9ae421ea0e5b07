#include "formats/pre_tokenizer.h"

#include "formats/json_fields.h"
#include "formats/newer_characters.h"

namespace tessera {
namespace {

constexpr int kMaxDepth = 4;
constexpr size_t kMaxSteps = 32;

std::unexpected<Error> Unsupported(const std::string& what, const Json& json) {
  return Fail(Error(ErrorCode::kUnsupported, what)
                  .Found(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

// The regex of a Split, if that keeps matches and what lies between them as they are.
Result<std::string> SplitRegex(const Json& json) {
  TESSERA_TRY(CheckFields(json, "a Split", {"type", "pattern", "behavior", "invert"}));
  TESSERA_ASSIGN(const std::string behavior, StringField(json, "a Split", "behavior"));
  TESSERA_ASSIGN(const bool invert, BoolField(json, "a Split", "invert"));
  if (behavior != "Isolated" || invert) {
    return Unsupported("a Split of the tokenizer does more than cut at its matches", json);
  }
  const auto pattern = json.find("pattern");
  if (pattern == json.end()) return Unsupported("a Split of the tokenizer has no pattern", json);
  TESSERA_TRY(CheckFields(*pattern, "a Split's pattern", {"Regex"}));
  return StringField(*pattern, "a Split's pattern", "Regex");
}

}  // namespace

Result<PreTokenizer> PreTokenizer::FromJson(const Json& json) {
  PreTokenizer made;
  TESSERA_TRY(made.AddStep(json, 0));
  if (!made.byte_level_) return Unsupported("the tokenizer is not byte-level", json);
  return made;
}

Result<PreTokenizer> PreTokenizer::FromRegex(std::string_view regex) {
  PreTokenizer made;
  TESSERA_TRY(made.AddPattern(regex));
  return made;
}

Result<void> PreTokenizer::AddPattern(std::string_view regex) {
  TESSERA_ASSIGN(SplitPattern pattern, SplitPattern::Make(regex));
  patterns_.push_back(std::move(pattern));
  return {};
}

Result<void> PreTokenizer::AddStep(const Json& json, int depth) {
  if (json.is_null()) return Unsupported("the tokenizer splits no text", json);
  if (byte_level_) return Unsupported("the tokenizer goes on after ByteLevel", json);
  if (patterns_.size() == kMaxSteps) return Unsupported("the tokenizer has too many steps", json);
  const Json& type = json.is_object() && json.contains("type") ? json["type"] : json;
  if (type == Json("Sequence") && depth < kMaxDepth) return AddSequence(json, depth);
  if (type == Json("Split")) {
    TESSERA_ASSIGN(const std::string regex, SplitRegex(json));
    return AddPattern(regex);
  }
  if (type == Json("Digits")) {
    TESSERA_TRY(CheckFields(json, "Digits", {"type", "individual_digits"}));
    TESSERA_ASSIGN(const bool individual, BoolField(json, "Digits", "individual_digits"));
    return AddPattern(individual ? kDigitRegex : kDigitsRegex);
  }
  if (type == Json("ByteLevel")) return AddByteLevel(json);
  return Unsupported("the tokenizer splits text in an unknown way", json);
}

Result<void> PreTokenizer::AddSequence(const Json& json, int depth) {
  TESSERA_TRY(CheckFields(json, "the pre-tokenizer", {"type", "pretokenizers"}));
  const auto steps = json.find("pretokenizers");
  if (steps == json.end() || !steps->is_array())
    return Unsupported("a Sequence has no steps", json);
  for (const Json& step : *steps) TESSERA_TRY(AddStep(step, depth + 1));
  return {};
}

Result<void> PreTokenizer::AddByteLevel(const Json& json) {
  // trim_offsets moves offsets, no ids.
  TESSERA_TRY(
      CheckFields(json, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  TESSERA_ASSIGN(const bool prefix, BoolField(json, "ByteLevel", "add_prefix_space"));
  if (prefix) return Unsupported("the tokenizer puts a space in front of text", json);
  byte_level_ = true;
  if (!json.contains("use_regex")) return AddPattern(kGpt2Regex);
  TESSERA_ASSIGN(const bool use_regex, BoolField(json, "ByteLevel", "use_regex"));
  return use_regex ? AddPattern(kGpt2Regex) : Result<void>();
}

Result<std::vector<std::string_view>> PreTokenizer::Split(std::string_view text) const {
  const std::string older = WithOlderCharacters(text);
  std::vector<std::string_view> pieces = {older};
  for (const SplitPattern& pattern : patterns_) {
    TESSERA_ASSIGN(pieces, pattern.Split(pieces));
  }
  for (std::string_view& piece : pieces) {
    piece = text.substr(static_cast<size_t>(piece.data() - older.data()), piece.size());
  }
  return pieces;
}

std::string PreTokenizer::Description() const {
  std::string description;
  for (const SplitPattern& pattern : patterns_) {
    description += (description.empty() ? "" : " ") + std::string(pattern.name());
  }
  return description;
}

}  // namespace tessera
