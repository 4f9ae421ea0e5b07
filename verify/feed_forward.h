// The feed-forward half of a decoder layer: one dense MLP, or routed and shared experts.
#pragma once

#include <optional>

#include "verify/linear.h"
#include "verify/router.h"

namespace tessera {

struct FeedForwardOutput {
  Matrix<float> values;            // [tokens, hidden]
  std::optional<Routing> routing;  // of a layer with experts
};

// Of normed `x`. An expert's weights are read only if a token goes there.
Result<FeedForwardOutput> FeedForward(const ForwardContext& context, uint32_t layer, ConstMatrix x);

// Tokens times experts whose activations are held at once, unless one expert has more tokens.
inline constexpr uint64_t kRoutedRows = 1024;

}  // namespace tessera
