// Reads and cross-checks everything about a checkpoint except its weights: what Checkpoint::Open
// stops at and FindFaults collects.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/fault_list.h"
#include "formats/finding.h"
#include "formats/hash.h"
#include "formats/rank_assembly.h"

namespace tessera {

struct CheckpointSurvey {
  std::filesystem::path dir;
  std::vector<Shard> shards;          // by name
  std::vector<TensorExtent> tensors;  // by name
  RankJoins joins;                    // of ranks only
  uint64_t payload_bytes = 0;
  std::vector<std::string> side_files;
  std::optional<std::string> config_text;
  std::filesystem::path config_path;
  std::vector<Finding> findings;
  Digest fingerprint;
};

// Whole only if `faults` stays empty. Goes on after a fault where it can, until the list is full.
CheckpointSurvey SurveyCheckpoint(const std::filesystem::path& path,
                                  const CheckpointOptions& options, FaultList& faults);

}  // namespace tessera
