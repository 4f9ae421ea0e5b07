// The tokenizer files of a model folder, understood: what encoding a text and what writing it into
// a GGUF file both start from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/added_tokens.h"
#include "formats/bpe.h"
#include "formats/json.h"
#include "formats/pre_tokenizer.h"
#include "formats/result.h"
#include "formats/vocabulary.h"

namespace tessera {

enum class TokenizerKind : uint8_t { kTokenizerJson, kTiktoken };

// Ids that a tokenizer puts around a text.
struct TokenFrame {
  std::vector<uint32_t> before, after;
};

struct TokenizerSpec {
  TokenizerKind kind;
  Vocabulary vocabulary;          // of the model, in byte spelling
  std::vector<BpeMerge> merges;   // by rank; of tiktoken none: its ranks are the ids
  bool whole_words;               // a word that is a piece is not taken apart
  std::vector<AddedToken> added;  // by id
  PreTokenizer pre_tokenizer;
  Json post_processor;         // null if there is none
  TokenFrame frame;            // what that puts around a text
  std::optional<Json> config;  // tokenizer_config.json

  const AddedToken* FindAdded(std::string_view content) const;  // O(n)
};

// Of what tokenizer_config.json calls `role`_token ("bos", "eos", "pad"...): its text, written as a
// string or as an object with `content`, if any; whether a text gets it (add_`role`_token), if it
// says.
Result<std::optional<std::string>> SpecialTokenText(const std::optional<Json>& config,
                                                    std::string_view role);
Result<std::optional<bool>> AddsSpecialToken(const std::optional<Json>& config,
                                             std::string_view role);

// What a text gets around it: add_bos_token and add_eos_token of tokenizer_config.json where they
// are given, as LlamaTokenizer and llama.cpp have it, else the post-processor's.
Result<TokenFrame> FrameOf(const TokenizerSpec& spec);

// tokenizer.json if there is one, else tiktoken.model; kNotFound if there is neither. Errors as of
// Tokenizer::Open.
Result<TokenizerSpec> ReadTokenizerSpec(const std::filesystem::path& folder);

// The two forms, each in its own file.
Result<TokenizerSpec> ReadTokenizerJson(const std::filesystem::path& folder,
                                        std::optional<Json> config);
Result<TokenizerSpec> ReadTiktoken(const std::filesystem::path& folder, std::optional<Json> config);

}  // namespace tessera
