// Every tensor of one checkpoint against another, whatever names, shards, ranks, formats and types
// they are stored in. Each input byte is read once, in tiles; only a tensor in which some tile
// differs unexpectedly is read again to be measured whole.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/result.h"
#include "formats/work_counters.h"
#include "quant/quality.h"
#include "verify/config_faults.h"
#include "verify/quality_gates.h"
#include "verify/tensor_class.h"
#include "verify/tensor_match.h"

namespace tessera {

enum class Agreement : uint8_t { kExact, kWithin, kFailed };
std::string_view Name(Agreement agreement);  // "exact", "within", "failed"

// One tensor that both have.
struct TensorComparison {
  std::string name;
  TensorPlace place;
  std::string stored_a, stored_b;  // "F8_E4M3 [7168, 2048]"
  StorageKind kind{};              // of B
  Agreement agreement{};
  std::string rule;               // why: "equal bytes", "A rounded to BF16", ...
  bool measured = false;          // else `stats` is empty
  QualityStats stats;             // of B against A
  uint64_t misrounded = 0;        // see GateValues
  std::vector<GateValue> values;  // of the gates that apply
  std::vector<GateValue> missed;  // of these

  // Whether this one is further from what was expected than the other.
  bool WorseThan(const TensorComparison& other) const;
};

// The tightest of a gate's values.
struct GateResult {
  Gate gate{};
  double value = 0;
  double limit = 0;
  bool ok = true;
  std::string tensor;  // whose value it is; empty for counts and means
};

struct ComparedSide {
  std::string path;
  uint64_t tensors = 0;  // logical ones: a weight with its scales is one
  uint64_t bytes = 0;    // of the payload
};

struct ComparisonReport {
  ComparedSide a, b;
  std::vector<TensorComparison> tensors;  // by name
  std::vector<UnmatchedGroup> unmatched;
  std::vector<ConfigFault> config_faults;
  std::vector<GateResult> gates;  // those that apply, in the order of Gate
  uint64_t exact = 0, within = 0, failed = 0;
  std::string verdict;  // one sentence

  uint64_t Unmatched(Side side) const;
  bool passes() const;
  // Not exact ones, worst first: failed before within, then by distance from the prediction.
  std::vector<const TensorComparison*> Worst(size_t limit) const;
};

struct CompareOptions {
  unsigned threads = 0;                   // 0: the scheduler's choice
  uint64_t memory = uint64_t{256} << 20;  // for buffers; kMemoryBudget if one thread's do not fit
  const std::atomic<int>* signal = nullptr;  // non-zero: stop with kInterrupted or kTerminated
  QualityGates gates{};
};

// The same report for any number of threads and any budget.
Result<ComparisonReport> CompareTensors(const std::filesystem::path& a,
                                        const std::filesystem::path& b,
                                        const CompareOptions& options, WorkCounters& counters);

}  // namespace tessera
