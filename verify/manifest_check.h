// Does an output still hold what its manifest says? Reads every byte once.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/result.h"
#include "formats/work_counters.h"

namespace tessera {

struct ManifestFault {
  std::string tensor;  // or empty
  std::string file;
  std::string what;  // one sentence
};

struct ManifestReport {
  uint64_t exact = 0;       // tensors whose bytes have the recorded digest
  uint64_t failed = 0;      // tensors whose bytes have another, or that are not as described
  uint64_t missing = 0;     // tensors in the manifest only
  uint64_t extra = 0;       // tensors in the output only
  uint64_t side_files = 0;  // side files that hold
  std::vector<ManifestFault> faults;  // all of them, by file then tensor

  bool holds() const { return faults.empty(); }
};

struct ManifestCheckOptions {
  unsigned threads = 0;                      // 0: the scheduler's choice
  const std::atomic<int>* signal = nullptr;  // non-zero: stop with kInterrupted or kTerminated
};

// `out` is a folder or a GGUF file, as it was given to the run, or one that it was split into.
// Fails only when there is no manifest to judge by, or on interruption; damage is in the report.
Result<ManifestReport> CheckManifest(const std::filesystem::path& out,
                                     const ManifestCheckOptions& options, WorkCounters& counters);

}  // namespace tessera
