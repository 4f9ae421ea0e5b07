// A whole conversion: plan, execute, seal.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "convert/executor.h"
#include "convert/plan.h"
#include "convert/request.h"
#include "formats/manifest.h"
#include "formats/result.h"

namespace tessera {

struct Outcome {
  Execution execution;
  uint64_t buffer_bytes = 0;
  uint64_t nan_codes = 0;  // FP8 NaN codes, each stored as the one quiet NaN
  uint64_t clipped = 0;    // values clipped to F16's range
  // Weights that are worse than their scheme should make them, and how much.
  std::vector<std::pair<std::string, TensorQuality>> below;
  bool already_done = false;  // OUT held the finished result of the same plan
  // This part is done, and these are not: the last of them seals the output.
  std::vector<uint32_t> parts_left;
};

// Runs `plan`, made from `request`. With options.rehearse nothing is written anywhere. On success
// every output folder holds shards, side files, config.json, index and manifest, made durable in
// that order.
Result<Outcome> Convert(const Plan& plan, const Request& request, const RunOptions& options,
                        WorkCounters& counters);

}  // namespace tessera
