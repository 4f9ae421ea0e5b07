// V3.2's and GLM-5's lightning indexer: which keys each query attends to.
#pragma once

#include "verify/key_selection.h"
#include "verify/linear.h"
#include "verify/rope.h"

namespace tessera {

// Of normed `x` and the normed compressed query. Empty, nothing computed, while there are no more
// tokens than index_topk: then all are chosen.
Result<KeySelection> SelectKeys(const ForwardContext& context, uint32_t layer,
                                const RopeTable& rope, ConstMatrix x, ConstMatrix query);

}  // namespace tessera
