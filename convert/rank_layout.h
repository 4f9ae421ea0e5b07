// Model-parallel ranks as DeepSeek's demo loads them: which rank owns what, how weights are cut,
// and which degrees a model allows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/model_spec.h"
#include "formats/result.h"
#include "quant/scheme.h"
#include "quant/storage.h"

namespace tessera {

enum class Cut : uint8_t {
  kReplicated,  // every rank has all of it: norms, router, low-rank projections down, indexer
  kRows,        // the output dimension: embedding, head, q, kv_b, gate, up
  kColumns,     // the input dimension: o, down
  kOwned,       // routed experts: a contiguous range of experts a rank, uncut
};
Cut CutOf(const TensorRole& role);

// For a routed expert, the one rank that has it.
uint32_t OwnerOf(const TensorRole& role, uint32_t experts, uint32_t ranks);

// Everything that a degree has to divide.
class RankDegrees {
 public:
  explicit RankDegrees(const ModelSpec& spec);

  // A weight that is written cut. `blocks`: its codes and scales are kept, so cuts must fall on
  // block borders, of rows and columns alike.
  struct Blocks {
    uint64_t rows, cols;
  };
  void Add(const std::string& name, const TensorRole& role, uint64_t rows, uint64_t cols,
           std::optional<Blocks> blocks);

  // kUnsupported, naming the first thing that `ranks` does not divide and all degrees that work.
  Result<void> Check(uint32_t ranks) const;

 private:
  struct Demand {
    std::string what;
    uint64_t number;
  };
  void Demands(std::string what, uint64_t number) { demands_.push_back({std::move(what), number}); }

  std::vector<Demand> demands_;
};

}  // namespace tessera
