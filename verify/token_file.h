// Token ids from a file: separated by white space or commas, a JSON list, or a safetensors file
// with one integer tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "formats/result.h"

namespace tessera {

inline constexpr uint64_t kMaxTokens = uint64_t{1} << 22;

// kUsage for what holds no ids, more than kMaxTokens, or an id beyond the vocabulary, naming its
// position.
Result<std::vector<uint32_t>> ReadTokenFile(const std::filesystem::path& path, uint32_t vocab_size);

}  // namespace tessera
