// Where a side's own config.json describes other tensors than it has.
#pragma once

#include <string>
#include <vector>

#include "verify/tensor_match.h"

namespace tessera {

struct ConfigFault {
  Side side{};
  std::string rule;    // "unknown-tensor", "wrong-shape", "missing-tensor"
  std::string tensor;  // under its logical name
  std::string what;
};

// Those that matching leaves in the dark, as both sides have the tensor, or both lack it; what one
// alone has is an UnmatchedGroup. At most 1000 a side, one a weight.
std::vector<ConfigFault> FindConfigFaults(const ComparedCheckpoint& a, const ComparedCheckpoint& b);

}  // namespace tessera
