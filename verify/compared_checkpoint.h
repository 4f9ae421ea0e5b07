// One side of a comparison: a checkpoint, how its weights are stored, and what model it says it is.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/model_spec.h"
#include "formats/result.h"
#include "quant/storage.h"

namespace tessera {

// A weight under the name it has when stored plainly: "... .weight", whatever its codes are called.
struct LogicalTensor {
  std::string name;
  const StoredWeight* weight;
};

struct ComparedCheckpoint {
  std::filesystem::path path;  // as given: of a file not just its folder
  Checkpoint checkpoint;
  StorageMap storage;
  ModelSpec spec;
  std::vector<LogicalTensor> tensors;  // by name

  // Unlike a source of a conversion it may lack tensors: saying which is the comparison's task.
  // Otherwise fails as opening a checkpoint does, and with kNoConfig.
  static Result<ComparedCheckpoint> Open(const std::filesystem::path& path);

  // nullptr if absent. O(log n).
  const LogicalTensor* Find(std::string_view name) const;
};

}  // namespace tessera
