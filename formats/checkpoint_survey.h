// Reads and cross-checks everything about a checkpoint except its weights: what Checkpoint::Open
// stops at and FindFaults collects.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/fault_list.h"
#include "formats/file_contents.h"
#include "formats/finding.h"
#include "formats/gguf.h"
#include "formats/hash.h"
#include "formats/rank_assembly.h"
#include "formats/shard_files.h"
#include "formats/side_files.h"

namespace tessera {

struct CheckpointSurvey {
  std::filesystem::path dir;
  std::vector<Shard> shards;          // by name
  ShardFrames frames;                 // of those that are compressed
  std::vector<TensorExtent> tensors;  // by name
  RankJoins joins;                    // of ranks only
  uint64_t payload_bytes = 0;
  std::vector<std::string> side_files;
  std::optional<std::string> config_text;
  std::filesystem::path config_path;
  std::optional<GgufMetadata> gguf;  // of the first file, where the files are GGUF
  std::optional<Error> no_config;    // why there is no config_text, where a file was expected
  std::vector<Finding> findings;
  Digest fingerprint;
};

// Whole only if `faults` stays empty. Goes on after a fault where it can, until the list is full.
CheckpointSurvey SurveyCheckpoint(const std::filesystem::path& path,
                                  const CheckpointOptions& options, FaultList& faults);

// A little of the first, middle and last data: two checkpoints of one shape, such as two steps of
// one training run, have equal headers and must not pass for each other.
Result<Digest> SampleData(const FileContents& file, uint64_t begin, uint64_t end);
// Bounds what the headers of all files together make us hold.
std::optional<Error> AddHeaderBytes(uint64_t& sum, uint64_t bytes,
                                    const std::filesystem::path& file);
Digest FingerprintOf(const CheckpointSurvey& survey, std::span<const SideFile> side_files);

}  // namespace tessera
