// The tensors of a GGUF file as the weights of the model that it holds.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/fault_list.h"
#include "formats/model_spec.h"

namespace tessera {

// `stored`: under GGUF's names. Returned by Hugging Face names, each with its place in the files:
// an expert is a slice of its layer's stack; kv_b_proj is two tensors, "X.k_b" and "X.v_b". Names
// and shapes beyond that are CheckCompleteness's to judge. kUnknownTensor, kWrongShape.
std::vector<TensorExtent> HfTensorsOfGguf(const ModelSpec& spec,
                                          std::span<const TensorExtent> stored,
                                          std::span<const Shard> shards, FaultList& faults);

}  // namespace tessera
