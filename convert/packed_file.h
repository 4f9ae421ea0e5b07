// Whole files into zstd frames and back, for outputs that are stored compressed.
#pragma once

#include <cstdint>

#include "formats/file.h"
#include "formats/result.h"
#include "formats/zstd_frames.h"

namespace tessera {

// Writes what `from` holds to the empty file `to`, as seekable zstd; returns how large that is. The
// bytes are the same for any number of threads, each of which needs ZstdPacker::BytesFor.
// `check` is asked before each frame.
Result<uint64_t> PackFile(const File& from, const File& to, Compression compression,
                          unsigned threads, const StopCheck& check);

// Writes what the compressed file `from` holds to `to`.
Result<void> UnpackFile(const File& from, const File& to, const StopCheck& check);

}  // namespace tessera
