// Which tokens begin, end and pad texts, for the keys of a GGUF file.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"
#include "formats/result.h"
#include "formats/tokenizer_spec.h"

namespace tessera {

// By role ("bos", "eos", "unk"...), in the order of the keys.
struct SpecialTokens {
  std::vector<std::pair<std::string, uint32_t>> ids;
  std::vector<std::pair<std::string, bool>> added;  // whether texts get them
};

// As llama.cpp's converter finds them: tokenizer_config.json, which a template of the
// post-processor may overrule, then `config`, the model's.
Result<SpecialTokens> FindSpecialTokens(const TokenizerSpec& spec, const Json& config);

}  // namespace tessera
