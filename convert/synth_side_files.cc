#include "convert/synth_side_files.h"

#include <string_view>

#include "formats/byte_spelling.h"

namespace tessera {
namespace {

constexpr std::string_view kBegin = "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>";
constexpr std::string_view kEnd = "<\uFF5Cend\u2581of\u2581sentence\uFF5C>";
constexpr std::string_view kPad = "<\uFF5C\u2581pad\u2581\uFF5C>";
constexpr std::string_view kUser = "<\uFF5CUser\uFF5C>", kAssistant = "<\uFF5CAssistant\uFF5C>";
constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";

constexpr std::string_view kChatTemplate =
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<\uFF5CUser\uFF5C>' }}"
    "{% else %}{{ '<\uFF5CAssistant\uFF5C>' }}{% endif %}{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<\uFF5CAssistant\uFF5C>' }}{% endif %}";

// Left and right part of each merge, most frequent first; "_" stands for the space.
constexpr std::string_view kMerges[][2] = {
    {"_", "t"},   {"h", "e"},  {"_", "a"},  {"i", "n"},  {"_t", "he"}, {"r", "e"},
    {"o", "n"},   {"_", "s"},  {"e", "r"},  {"_", "w"},  {"a", "t"},   {"n", "d"},
    {"o", "u"},   {"_", "o"},  {"_", "c"},  {"e", "s"},  {"i", "s"},   {"i", "t"},
    {"_a", "nd"}, {"e", "n"},  {"in", "g"}, {"_", "f"},  {"_", "b"},   {"_", "p"},
    {"o", "r"},   {"_o", "f"}, {"a", "l"},  {"_t", "o"}, {"a", "n"},   {"_", "in"},
};

std::string WithSpace(std::string_view text) {
  return text.starts_with('_') ? SpellBytes(" ") + std::string(text.substr(1)) : std::string(text);
}

Json AddedToken(int id, std::string_view content, bool special = true) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

Json Split(std::string_view regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json ByteLevel(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

// Cuts text as DeepSeek-V3's tokenizer does.
Json PreTokenizer() {
  return {{"type", "Sequence"},
          {"pretokenizers",
           Json::array({Split(R"(\p{N}{1,3})"), Split("[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"),
                        Split(R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
                              "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
                              R"(|\s*)"
                              "[\r\n]+"
                              R"(|\s+(?!\S)|\s+)"),
                        ByteLevel(false)})}};
}

Json Tokenizer() {
  Json vocab = Json::object(), merges = Json::array(), added = Json::array();
  int id = 0;
  for (const std::string_view token : {kBegin, kEnd, kPad}) {
    added.push_back(AddedToken(id, token));
    vocab[std::string(token)] = id++;
  }
  for (int byte = 0; byte < 256; ++byte) {
    vocab[SpellBytes(std::string(1, static_cast<char>(byte)))] = id++;
  }
  for (const auto& [left, right] : kMerges) {
    vocab[WithSpace(left) + WithSpace(right)] = id++;
    merges.push_back(WithSpace(left) + " " + WithSpace(right));
  }
  for (const std::string_view token : {kUser, kAssistant}) added.push_back(AddedToken(id++, token));
  for (const std::string_view token : {kThink, kThinkEnd}) {
    added.push_back(AddedToken(id++, token, false));
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added)},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", Json::array()}}},
          {"pre_tokenizer", PreTokenizer()},
          {"post_processor", ByteLevel(true)},
          {"decoder", ByteLevel(true)},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", std::move(vocab)},
            {"merges", std::move(merges)}}}};
}

Json TokenizerConfig() {
  return {{"add_bos_token", true},
          {"add_eos_token", false},
          {"bos_token", kBegin},
          {"clean_up_tokenization_spaces", false},
          {"eos_token", kEnd},
          {"model_max_length", 131072},
          {"pad_token", kEnd},
          {"tokenizer_class", "PreTrainedTokenizerFast"},
          {"chat_template", kChatTemplate}};
}

constexpr std::string_view kLicense =
    "The weights in this folder are invented: numbers drawn from a seed, trained on nothing.\n"
    "They may be used, copied and changed for any purpose, without any warranty.\n";

}  // namespace

std::vector<std::pair<std::string, std::string>> SynthSideFiles(const Json& config) {
  Json generation = {{"_from_model_config", true}};
  for (const char* field : {"bos_token_id", "eos_token_id"}) {
    if (config.contains(field)) generation[field] = config[field];
  }
  generation["do_sample"] = true;
  generation["temperature"] = 0.6;
  generation["top_p"] = 0.95;
  return {{"LICENSE", std::string(kLicense)},
          {"generation_config.json", RenderJson(generation)},
          {"tokenizer.json", RenderJson(Tokenizer())},
          {"tokenizer_config.json", RenderJson(TokenizerConfig())}};
}

}  // namespace tessera
