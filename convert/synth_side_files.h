// The small files beside synthetic weights.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"

namespace tessera {

// Name and contents of generation_config.json, tokenizer.json (byte-level BPE of some 300 tokens,
// in the shape of DeepSeek-V3's), tokenizer_config.json and LICENSE.
std::vector<std::pair<std::string, std::string>> SynthSideFiles(const Json& config);

}  // namespace tessera
