// How far two passes are apart after a layer: the residual stream, and where its tokens went.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "verify/matrix.h"
#include "verify/parallel.h"
#include "verify/router.h"

namespace tessera {

// Of the choices that B made against A's. A token's set of experts counts, not their order.
struct RoutingComparison {
  uint64_t tokens = 0;
  uint64_t common = 0;  // experts chosen by both, over all tokens
  uint64_t chosen = 0;  // by each
  uint64_t flips = 0;   // tokens whose sets differ
  uint64_t explained =
      0;              // of these: A's margin was small beside how much that token's scores moved
  double margin = 0;  // A's, the median over tokens
  double flip_margin = 0;   // A's, the largest of the flips; 0 without any
  double score_change = 0;  // of one expert for one token, the median over tokens
  std::vector<uint32_t> load_a, load_b,
      shared;  // tokens of each expert; those that both sent there

  double overlap() const;                    // share of the chosen experts that both chose
  double same_sets() const;                  // share of the tokens
  void Add(const RoutingComparison& other);  // counts and the largest margin only
};

RoutingComparison CompareRouting(const Routing& a, const Routing& b);

struct LayerComparison {
  uint32_t layer = 0;
  double error = 0;        // ||B - A|| / ||A|| of the residual stream, over all tokens
  double cosine = 1;       // likewise
  double worst_error = 0;  // of one token, and which
  uint64_t worst_position = 0;
  // What holding A's stream in BF16 would have cost by now, two roundings a layer.
  double noise_floor = 0;
  std::optional<RoutingComparison> routing;
};

class LayerComparer {
 public:
  explicit LayerComparer(const Threads& threads) : threads_(threads) {}

  // Layers in order. The same numbers for any number of threads.
  LayerComparison Compare(uint32_t layer, ConstMatrix a, ConstMatrix b);

 private:
  const Threads& threads_;
  double rounding_ = 0;  // the squared error of all roundings so far
};

}  // namespace tessera
