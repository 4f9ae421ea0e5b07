// What becomes of every source tensor, and the counts of it that plans and manifests carry.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "convert/plan.h"
#include "formats/manifest.h"

namespace tessera {

struct Fate {
  Action action = Action::kCopied;
  std::string_view rule = {};  // of a dropped one
  uint32_t folder = 0;         // it went to, or would have gone to
};

// Adds the tensors to the ledgers and rules of the plan and of its folders.
void CountFates(std::span<const Fate> fates, Plan& plan);

}  // namespace tessera
