// The moment a file gets its final name.
#pragma once

#include <filesystem>

#include "formats/result.h"

namespace tessera {

// Renames `from` to `to`, a name that nobody has: a file that appeared there since it was looked
// for is somebody else's, stays as it is, and is kForeignFile. Where the file system cannot check
// and rename in one step (NFS, FAT), the check comes just before.
Result<void> PublishFile(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace tessera
