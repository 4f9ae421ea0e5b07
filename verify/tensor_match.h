// Which tensors of two checkpoints are the same one, and why others have no counterpart.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/compared_checkpoint.h"
#include "verify/tensor_class.h"

namespace tessera {

enum class Side : uint8_t { kA, kB };

// Tensors that one side has and the other lacks, for one reason.
struct UnmatchedGroup {
  Side side{};                     // that has them
  std::string rule;                // "mtp-module", "missing-layer", ...
  std::string what;                // "the MTP module", "layer 3", ...
  bool explained = false;          // as the other side's config.json says, or as loaders do without
  std::vector<std::string> names;  // sorted
  std::vector<TensorPlace> places;  // of the names
};

struct MatchedTensor {
  const LogicalTensor* a;
  const LogicalTensor* b;
};

struct TensorMatch {
  std::vector<MatchedTensor> pairs;       // by name
  std::vector<UnmatchedGroup> unmatched;  // by side, rule, what
};

TensorMatch MatchTensors(const ComparedCheckpoint& a, const ComparedCheckpoint& b);

}  // namespace tessera
