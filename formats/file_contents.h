// What a file holds: its bytes, or what they are compressed from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "formats/file.h"
#include "formats/result.h"
#include "formats/zstd_frames.h"

namespace tessera {

// A view: file and frames must outlive it.
class FileContents {
 public:
  // Null frames: the file is not compressed.
  FileContents(const File& file, const ZstdFrames* frames = nullptr)
      : file_(file), frames_(frames) {}

  const std::filesystem::path& path() const { return file_.path(); }
  Result<uint64_t> Bytes() const {
    if (frames_ != nullptr) return frames_->bytes();
    TESSERA_ASSIGN(const FileIdentity identity, file_.Identity());
    return identity.size;
  }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const {
    return frames_ != nullptr ? frames_->ReadAt(file_, offset, out) : file_.ReadAt(offset, out);
  }

 private:
  const File& file_;
  const ZstdFrames* frames_;
};

}  // namespace tessera
