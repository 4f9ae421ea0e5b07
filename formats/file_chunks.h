// A whole file in order, a chunk at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

// Gives `use` every byte of the file, asking `check` before each chunk; returns how many there are.
// An error of either ends it.
using ChunkUse = std::function<Result<void>(uint64_t offset, std::span<const std::byte> chunk)>;
Result<uint64_t> ReadInChunks(const File& file, const StopCheck& check, const ChunkUse& use);

// Nobody asks to stop.
inline Result<void> NeverStops() { return {}; }

}  // namespace tessera
