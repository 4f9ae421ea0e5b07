// Weights pass through once and are larger than memory: they should neither wait for the page cache
// nor push out of it what others keep there. All of this is for speed and good manners; where a
// file system or the kernel does not oblige, bytes and errors are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

// As File::ReadAt. What the cache holds is copied from there and stays; the rest comes from the
// device by direct I/O, and stays out.
Result<void> ReadPastCache(const File& file, uint64_t offset, std::span<std::byte> out);

// For files whose headers and samples are read by ReadAt: the kernel reads no more than is asked.
void ReadNothingAhead(const File& file);

// Gives back the pages of what has been written and synced.
void DropSynced(const File& file);

}  // namespace tessera
