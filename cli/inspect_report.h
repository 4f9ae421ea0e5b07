// What `tessera inspect` knows about a checkpoint once it has read its headers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "convert/engines/engine.h"
#include "convert/engines/judgement.h"
#include "formats/checkpoint.h"
#include "formats/finding.h"
#include "formats/model_spec.h"
#include "formats/result.h"
#include "quant/quant_args.h"

namespace tessera::cli {

struct TensorSum {
  uint64_t tensors = 0, bytes = 0, parameters = 0;
};

// With --for: which engine was asked about, and what the checkpoint says of its quantization.
struct JudgedFor {
  const EngineProfile* engine = nullptr;
  int tp = 1;
  std::string quantization;
};

struct InspectReport {
  std::optional<Checkpoint> checkpoint;  // absent when it cannot be opened (--check only)
  std::optional<ModelSpec> spec;         // absent for a file without config.json
  std::optional<Coverage> coverage;      // absent for one shard of several
  QuantArgs quantization;
  uint64_t parameters = 0;  // elements of weights: scales and buffers are none
  std::map<std::string, TensorSum, std::less<>> by_dtype, by_role;
  std::map<std::string, uint64_t> compressed;  // shards, by how
  std::vector<Finding> findings;
  std::optional<JudgedFor> judged_for;

  uint64_t Faults() const;  // findings that are errors
};

// Fails on the first fault.
Result<InspectReport> InspectCheckpoint(const std::filesystem::path& path);
// Goes on after faults where it can; each becomes a finding of severity kError. Fails only where
// there is nothing to check: a path that does not exist.
Result<InspectReport> CheckCheckpoint(const std::filesystem::path& path);
// Whether an engine loads it: the findings are the engine's, and those of the readers where they
// could not open it. Works on checkpoints that we cannot decode.
Result<InspectReport> InspectForEngine(const std::filesystem::path& path,
                                       const EngineProfile& engine, const JudgeOptions& options);

}  // namespace tessera::cli
