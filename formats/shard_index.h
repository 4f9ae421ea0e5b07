// The index of a sharded checkpoint (model.safetensors.index.json): which file holds which tensor.
// Also what shard file names may look like.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/fault_list.h"
#include "formats/result.h"

namespace tessera {

inline constexpr uint64_t kMaxIndexBytes = uint64_t{256} << 20;
inline constexpr uint64_t kMaxIndexEntries = uint64_t{1} << 22;

struct IndexEntry {
  std::string tensor;
  uint32_t file;  // index into ShardIndex::files
};

struct ShardIndex {
  std::vector<std::string> files;   // sorted, unique, not yet checked by CheckShardName
  std::vector<IndexEntry> entries;  // sorted by tensor, unique
  std::optional<uint64_t> total_size;
  std::string odd_total_size;  // what it is where it is no unsigned number
};

// Unknown keys beside weight_map and inside metadata are tolerated, doubly mapped tensors are not.
Result<ShardIndex> ReadShardIndex(const std::filesystem::path& path);

// One path component that cannot lead out of the folder, pass for an option or hide: kBadFileName.
Result<void> CheckShardName(std::string_view name);

// Names of the form PREFIX-I-of-N.safetensors, padded or not, must be complete for each prefix and
// agree on N; other names are free.
void CheckShardNumbering(std::span<const std::string> names, FaultList& faults);

}  // namespace tessera
