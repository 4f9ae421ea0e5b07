// The attention half of a decoder layer: projections, positions, indexer, heads, output.
#pragma once

#include "verify/key_selection.h"
#include "verify/linear.h"
#include "verify/rope.h"

namespace tessera {

// transformers and DeepSeek's code give these norms 1e-6 whatever rms_norm_eps says.
inline constexpr double kLatentNormEps = 1e-6;

// Of normed `x` [tokens, hidden]. `selection` is what the indexer chose: written by layers that
// have one, used also by those that share it.
Result<Matrix<float>> SelfAttention(const ForwardContext& context, uint32_t layer,
                                    const RopeTable& rope, ConstMatrix x, KeySelection& selection);

}  // namespace tessera
