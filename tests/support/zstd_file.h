// Seekable zstd files as tests put them together.
#pragma once

#include <cstddef>
#include <string>

namespace tessera {

// `contents` in frames of `piece` bytes each.
std::string ZstdFile(const std::string& contents, size_t piece, int level = 3);

}  // namespace tessera
