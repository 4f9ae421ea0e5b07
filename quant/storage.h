// How one weight of a checkpoint is stored: its scheme and the tensors that hold its parts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "quant/quant_args.h"
#include "quant/scheme.h"

namespace tessera {

// A logical weight: `parts` follow scheme.Parts(). For tensors that are no floats (I64 tables,
// BOOL) there is no scheme: they can only be copied.
struct StoredWeight {
  const Scheme* scheme = nullptr;  // owned by the StorageMap
  uint64_t rows = 0, cols = 0;
  std::vector<const TensorExtent*> parts;  // [0] is the weight itself
};

// Pairs every weight of a checkpoint with its partners, across shards, and finds its scheme.
// FP8 is recognised by dtype plus partner scale, never by width: an FP8 weight without its scale is
// kMissingScale, a scale without its weight kOrphanScale, a scale of the wrong grid kWrongShape
// (expected ceil-divided by the config's block size, never inferred from the shapes).
class StorageMap {
 public:
  static Result<StorageMap> Of(const Checkpoint& checkpoint, const QuantArgs& args);

  // One entry a logical weight, in the order of Checkpoint::tensors() of its part 0. Every tensor
  // of the checkpoint is a part of exactly one.
  const std::vector<StoredWeight>& weights() const { return weights_; }

 private:
  std::vector<StoredWeight> weights_;
  std::vector<std::unique_ptr<Scheme>> schemes_;
};

}  // namespace tessera
