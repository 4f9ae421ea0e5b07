// Which weights a quantization covers by default, by role.
#pragma once

#include "formats/model_spec.h"

namespace tessera {

// The linears that DeepSeek stores in block FP8: every projection of attention, indexer and
// feed-forward, MTP layers included. Embeddings, norms, router, heads, eh_proj and the indexer's
// float parts are not.
bool IsFp8Linear(const TensorRole& role);

}  // namespace tessera
