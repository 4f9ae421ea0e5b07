// A tokenizer as GGUF files carry it.
#pragma once

#include <filesystem>

#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/result.h"

namespace tessera {

// All tokenizer.* keys in the order in which llama.cpp's converter writes them, from the files in a
// model folder and the model's `config` (vocab_size, *_token_id). Ids up to vocab_size that no
// token has become "[PAD<id>]". Fails as Tokenizer::Open does, and with kUnsupported for a
// tokenizer that llama.cpp would split differently.
Result<GgufMetadata> TokenizerMetadata(const std::filesystem::path& folder, const Json& config);

}  // namespace tessera
