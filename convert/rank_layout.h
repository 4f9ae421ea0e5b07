// Which numbers of model-parallel ranks a model can be cut for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/model_spec.h"
#include "formats/rank_cut.h"
#include "formats/result.h"
#include "quant/scheme.h"
#include "quant/storage.h"

namespace tessera {

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
