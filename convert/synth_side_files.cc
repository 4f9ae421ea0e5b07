#include "convert/synth_side_files.h"

#include <cstddef>
#include <string_view>

namespace tessera {
namespace {

constexpr std::string_view kBegin = "<|begin_of_sentence|>";
constexpr std::string_view kEnd = "<|end_of_sentence|>";
constexpr std::string_view kSpace = "\u0120";  // how byte-level BPE writes a space

// Left and right part of each merge, most frequent first; "_" stands for the space.
constexpr std::string_view kMerges[][2] = {
    {"_", "t"},   {"h", "e"},  {"_", "a"},  {"i", "n"},  {"_t", "he"}, {"r", "e"},
    {"o", "n"},   {"_", "s"},  {"e", "r"},  {"_", "w"},  {"a", "t"},   {"n", "d"},
    {"o", "u"},   {"_", "o"},  {"_", "c"},  {"e", "s"},  {"i", "s"},   {"i", "t"},
    {"_a", "nd"}, {"e", "n"},  {"in", "g"}, {"_", "f"},  {"_", "b"},   {"_", "p"},
    {"o", "r"},   {"_o", "f"}, {"a", "l"},  {"_t", "o"}, {"a", "n"},   {"_", "in"},
};

// UTF-8 of a code point below U+0800.
std::string Utf8(unsigned point) {
  if (point < 0x80) return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
}

// GPT-2's spelling of a byte: printable Latin-1 as itself, the rest from U+0100 on in order.
std::vector<std::string> ByteSpellings() {
  std::vector<std::string> spellings;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    spellings.push_back(Utf8(printable ? byte : next++));
  }
  return spellings;
}

std::string WithSpace(std::string_view text) {
  return text.starts_with('_') ? std::string(kSpace) + std::string(text.substr(1))
                               : std::string(text);
}

Json AddedToken(int id, std::string_view content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

Json Tokenizer() {
  Json vocab = Json::object(), merges = Json::array();
  int id = 0;
  vocab[std::string(kBegin)] = id++;
  vocab[std::string(kEnd)] = id++;
  for (const std::string& spelling : ByteSpellings()) vocab[spelling] = id++;
  for (const auto& [left, right] : kMerges) {
    vocab[WithSpace(left) + WithSpace(right)] = id++;
    merges.push_back(WithSpace(left) + " " + WithSpace(right));
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", Json::array({AddedToken(0, kBegin), AddedToken(1, kEnd)})},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
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
  return {{"add_bos_token", true}, {"add_eos_token", false},
          {"bos_token", kBegin},   {"clean_up_tokenization_spaces", false},
          {"eos_token", kEnd},     {"model_max_length", 131072},
          {"pad_token", kEnd},     {"tokenizer_class", "PreTrainedTokenizerFast"}};
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
