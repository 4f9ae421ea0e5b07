// Where a verb that runs a model has its tokens from: --tokens FILE or --text FILE.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/result.h"

namespace tessera::cli {

struct TokenInput {
  std::string tokens, text;  // paths; one of them is empty

  const std::string& file() const { return tokens.empty() ? text : tokens; }
};

// Both options, of which a command line may give one.
void AddTokenInput(CLI::App& verb, TokenInput& input);

// kUsage unless exactly one is given. A text is encoded by the tokenizer in `checkpoint`, a folder
// or a file in it.
Result<std::vector<uint32_t>> ReadTokens(const TokenInput& input,
                                         const std::filesystem::path& checkpoint,
                                         uint32_t vocab_size);

}  // namespace tessera::cli
