// Seekable zstd files as tests put them together.
#pragma once

#include <cstddef>
#include <string>

#include "formats/zstd_frames.h"

namespace tessera {

// `contents` in frames of `piece` bytes each.
std::string ZstdFile(const std::string& contents, size_t piece, Compression compression = {3});

// The contents of such a file, or the name of the rule that it breaks.
std::string UnpackedOrRule(const File& file);

}  // namespace tessera
