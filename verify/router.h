// Which experts a token goes to, and with which weights.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/linear.h"

namespace tessera {

// Of every token of a layer; `top_k` entries a token, best first.
struct Routing {
  Routing(uint32_t top_k, uint64_t tokens, uint32_t n_experts)
      : top_k(top_k),
        experts(tokens * top_k),
        weights(tokens * top_k),
        margins(tokens),
        group_margins(tokens),
        scores(tokens, n_experts) {}

  uint32_t top_k;
  std::vector<uint32_t> experts;
  std::vector<float> weights;
  // By how much the last chosen expert beat the best one left out of the same groups; infinite if
  // none was.
  std::vector<float> margins;
  std::vector<float> group_margins;  // the same of groups
  Matrix<float> scores;              // what is compared, bias included: [tokens, experts]
};

// One token's choice from the router's outputs, [experts]; `bias` is empty without noaux_tc. Of
// equal scores the expert with the smaller number wins.
void ChooseExperts(const ForwardContext& context, std::span<const double> logits,
                   std::span<const float> bias, uint64_t token, Routing& routing);

Result<Routing> Route(const ForwardContext& context, uint32_t layer, ConstMatrix x);

}  // namespace tessera
