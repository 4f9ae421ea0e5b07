// The shards of a checkpoint, opened on demand and read as what they hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "formats/file.h"
#include "formats/page_cache.h"
#include "formats/result.h"
#include "formats/zstd_frames.h"

namespace tessera {

// By shard; nullopt: not compressed.
using ShardFrames = std::vector<std::optional<ZstdFrames>>;

// Thread-safe. `frames` must outlive it.
class ShardFiles {
 public:
  ShardFiles(size_t open_limit, FileCache::Opener opener, const ShardFrames& frames)
      : files_(open_limit, std::move(opener)), frames_(frames) {}

  // Fills `out` from `offset` of the safetensors (or GGUF) file that the shard is.
  Result<void> ReadAt(uint32_t shard, uint64_t offset, std::span<std::byte> out) {
    TESSERA_ASSIGN(const std::shared_ptr<const File> file, files_.Get(shard));
    const bool packed = shard < frames_.size() && frames_[shard];
    return packed ? frames_[shard]->ReadAt(*file, offset, out) : ReadPastCache(*file, offset, out);
  }

 private:
  FileCache files_;
  const ShardFrames& frames_;
};

}  // namespace tessera
