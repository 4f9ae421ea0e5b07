// Whether an engine loads a checkpoint: what its rules look at, and what they found.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert/engines/engine.h"
#include "convert/engines/quant_claim.h"
#include "convert/engines/stored_module.h"
#include "formats/checkpoint.h"
#include "formats/finding.h"
#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/result.h"

namespace tessera {

struct JudgeOptions {
  int tp = 1;
  bool scan_codes = false;  // read every FP8 code, for those that are NaN
};

// The files beside config.json that say how weights are quantized.
struct QuantFiles {
  std::optional<Json> hf_quant_config, quant_cfg;
  // quant_model_description*.json: tensor names and what they are.
  std::string description_name;
  std::map<std::string, std::string, std::less<>> description;
  uint64_t description_group = 0;  // its group_size
};

class Judgement {
 public:
  Judgement(const EngineProfile& profile, const Checkpoint& source, const Json& json,
            const ModelSpec& model, const JudgeOptions& judge_options, QuantFiles quant_files);

  void Fatal(std::string_view rule, std::string tensor, std::string what, std::string remedy);
  void Warn(std::string_view rule, std::string tensor, std::string what, std::string remedy);
  void Note(std::string_view rule, std::string what, std::string remedy);
  // What to start the server with.
  void NeedFlag(std::string_view flag, std::string why);

  bool HasFatal() const;
  // A module's weight as [out, in] in the model; nullopt for what the model does not have.
  std::optional<Shape> ShapeOf(std::string_view module) const;
  // Columns of a module that share a scale; 0: all.
  uint64_t GroupOf(const StoredModule& module) const;

  const EngineProfile& engine;
  const Checkpoint& checkpoint;
  const Json& config;
  const ModelSpec& spec;
  const JudgeOptions options;
  const QuantFiles files;
  const QuantClaim claim;
  const StoredModules stored;
  std::vector<Finding> findings;

 private:
  void Add(std::string_view rule, Severity severity, std::string tensor, std::string what,
           std::string remedy);
};

struct Verdict {
  std::string quantization;       // as the checkpoint says it is
  std::vector<Finding> findings;  // an error: it does not load, or computes nonsense
};

// Reads headers and JSON files; scales where a rule is about their values; codes only when asked
// to. A model the engine does not know is a finding, not a failure.
Result<Verdict> JudgeCheckpoint(const EngineProfile& engine, const Checkpoint& checkpoint,
                                const JudgeOptions& options);

}  // namespace tessera
