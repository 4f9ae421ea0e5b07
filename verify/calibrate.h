// Measures what enters a model's linears while it reads a text, in one pass over its weights.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "quant/calibration_file.h"
#include "verify/forward.h"
#include "verify/input_stats.h"

namespace tessera {

// Tokens are cut into chunks of this many, which know nothing of each other. Of a text that begins
// with the model's first token of texts, every chunk does, in place of its own first token. Both as
// llama-imatrix has it.
inline constexpr uint64_t kCalibrationChunk = 512;

struct CalibrationReport {
  uint64_t tokens = 0, chunks = 0, linears = 0, experts = 0;
  // Layers that have experts which no token reached, and how many.
  std::vector<std::pair<uint32_t, uint64_t>> unreached;
};

class Calibrator {
 public:
  // As ForwardPass::Open; observers in `options` are replaced.
  static Result<std::unique_ptr<Calibrator>> Open(const std::filesystem::path& path,
                                                  ForwardOptions options, WorkCounters& counters);

  const ModelSpec& spec() const { return pass_->spec(); }

  // Runs all layers, the first MTP module's included where there is one, and writes each one's
  // numbers when it is done; `out` has its name only when whole. kOutputConflict if `out` lies in
  // the checkpoint's folder; kNotFinite names a linear.
  Result<CalibrationReport> Run(std::span<const uint32_t> tokens, const std::filesystem::path& out,
                                const std::string& dataset);

 private:
  Calibrator() = default;

  Result<CalibrationFile> CreateFile(const std::filesystem::path& out,
                                     const CalibrationSource& source) const;
  Result<void> RunLayers(CalibrationFile& file);
  Result<void> WriteLayer(uint32_t layer, CalibrationFile& file);
  Result<void> WriteLinear(const TensorRole& linear, CalibrationFile& file) const;
  uint32_t layers() const { return spec().num_hidden_layers + (with_mtp_ ? 1 : 0); }

  std::unique_ptr<ForwardPass> pass_;
  std::filesystem::path checkpoint_;
  std::optional<LayerStats> stats_;  // of the layer that runs
  CalibrationReport report_;
  bool with_mtp_ = false;
};

}  // namespace tessera
