// How DeepSeek's demo shares a model out over model-parallel ranks: which tensors are cut, along
// which side, and which are not.
#pragma once

#include <cstdint>

#include "formats/model_spec.h"

namespace tessera {

enum class Cut : uint8_t {
  kReplicated,  // every rank has all of it: norms, router, low-rank projections down, indexer
  kRows,        // the output dimension: embedding, head, q, kv_b, gate, up
  kColumns,     // the input dimension: o, down
  kOwned,       // routed experts: a contiguous range of experts a rank, uncut
};
Cut CutOf(const TensorRole& role);

// For a routed expert, the one rank that has it. `ranks` divides `experts`.
uint32_t OwnerOf(const TensorRole& role, uint32_t experts, uint32_t ranks);

}  // namespace tessera
