// What enters the linears of one layer: the square of each column summed, the largest magnitude,
// the number of tokens. Sums are of doubles in the tokens' order, so that they do not depend on
// threads.
#pragma once

#include <map>
#include <vector>

#include "formats/model_spec.h"
#include "verify/matrix.h"

namespace tessera {

struct InputStats {
  std::vector<double> squares;  // by column; empty as long as there are no tokens
  float amax = 0;
  uint64_t tokens = 0;

  void Add(ConstMatrix input);
};

// The linears of a layer that a forward pass runs, of routed experts the first one's. Not the
// indexer's, which choose nothing in sequences as short as those of a calibration.
std::vector<TensorRole> MeasuredLinears(const ModelSpec& spec, uint32_t layer);

class LayerStats {
 public:
  LayerStats(const ModelSpec& spec, uint32_t layer);

  // Observers of a forward pass: different linears and different heads at the same time. Other
  // layers and what is not measured are passed over.
  void Add(const TensorRole& weight, ConstMatrix input);
  void AddHead(uint32_t layer, uint64_t head, ConstMatrix query, ConstMatrix mixed);

  const InputStats& Of(const TensorRole& weight) const;
  // Of the halves of kv_b_proj, head after head: [heads * nope] and [heads * kv_lora_rank].
  const std::vector<double>& k_squares() const { return k_squares_; }
  const std::vector<double>& v_squares() const { return v_squares_; }

 private:
  int32_t layer_;
  std::map<TensorRole, InputStats> stats_;  // up_proj's are gate_proj's: the same input
  std::vector<double> k_squares_, v_squares_;
};

}  // namespace tessera
