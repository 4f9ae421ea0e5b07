// Which experts a token goes to, and with which weights.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/linear.h"

namespace tessera {

// Of every token of a layer; `top_k` entries a token, best first.
struct Routing {
  uint32_t top_k = 0;
  std::vector<uint32_t> experts;
  std::vector<float> weights;
  // By how much the last chosen expert beat the best one left out of the same groups; infinite if
  // none was.
  std::vector<float> margins;
};

// One token's choice from the router's outputs, [experts]; `bias` is empty without noaux_tc. Of
// equal scores the expert with the smaller number wins.
void ChooseExperts(const ForwardContext& context, std::span<const double> logits,
                   std::span<const float> bias, uint64_t token, Routing& routing);

Result<Routing> Route(const ForwardContext& context, uint32_t layer, ConstMatrix x);

}  // namespace tessera
