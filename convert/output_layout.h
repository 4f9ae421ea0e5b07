// Which output tensor goes into which file, and where.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/plan.h"
#include "formats/checkpoint.h"
#include "formats/container.h"
#include "formats/result.h"

namespace tessera {

// One output tensor before it has a place.
struct UnplacedTensor {
  TensorInfo info;
  Action by;
  uint32_t home;         // source shard of what it is made from
  uint64_t home_offset;  // and where in it
  uint64_t unit;  // tensors with equal units are neighbours and stay in one file (weight and scale)
  uint32_t folder = 0;
};

inline constexpr std::string_view kIndexName = "model.safetensors.index.json";

struct OutputLayout {
  std::vector<PlanFile> files;      // by name
  std::vector<PlanTensor> tensors;  // by file, then offset
  std::vector<uint32_t> placed;     // index into tensors of each input
};

// shard_size 0: files and the order in them as in the source, files left empty taken out and the
// rest renumbered. Otherwise files of at most shard_size bytes of payload in the given order, a
// unit never split (a larger unit gets a larger file).
Result<OutputLayout> LayOut(std::span<const UnplacedTensor> tensors, std::span<const Shard> shards,
                            uint64_t shard_size, const Container& container);

// As the `safetensors` package saves a set of tensors: by dtype, widest first, then by name,
// without metadata. `home` counts in `files`.
Result<OutputLayout> LayOutAsSaved(std::span<const UnplacedTensor> tensors,
                                   const std::vector<std::string>& files);

// The same, one file a rank: `home` counts in `ranks`, which holds the ranks that are written, of
// `count`.
Result<OutputLayout> LayOutRanks(std::span<const UnplacedTensor> tensors,
                                 std::span<const uint32_t> ranks, uint32_t count);

}  // namespace tessera
