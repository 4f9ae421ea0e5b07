// Which tensors a synthetic checkpoint has and where each lies, by the rule that reproduces the
// released V3: modules in natural order, a scale right behind its weight, a shard closes once it
// holds so many elements or a pipeline stage ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convert/synth.h"
#include "formats/model_spec.h"
#include "formats/tensor.h"

namespace tessera {

struct SynthTensor {
  TensorInfo info;
  TensorRole role;
  uint64_t begin;  // from the start of the shard's data
};

struct SynthShard {
  std::string name;
  std::vector<SynthTensor> tensors;
  uint64_t data_bytes = 0;
};

struct SynthLayout {
  std::vector<SynthShard> shards;
  uint64_t elements = 0;     // of all tensors, scales included
  uint64_t split_pairs = 0;  // weight last in one shard, scale first in the next
};

Result<SynthLayout> LayOutSynth(const ModelSpec& spec, const SynthRequest& request,
                                SynthFormat format);

}  // namespace tessera
