// How one weight of a checkpoint is stored: its scheme and the tensors that hold its parts.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/model_spec.h"
#include "quant/quant_args.h"
#include "quant/scheme.h"

namespace tessera {

// A logical weight: `parts` follow scheme.Parts(). For tensors that are no floats and no codes (I64
// tables, BOOL) there is no scheme: they can only be copied.
struct StoredWeight {
  std::string name;  // as the model calls it, "X.weight", whatever its codes are called
  const Scheme* scheme = nullptr;  // owned by the StorageMap
  uint64_t rows = 0, cols = 0;
  std::vector<const TensorExtent*> parts;  // [0] holds the codes

  // Floats of one type, in however many tensors.
  bool is_plain() const;
  // Codes that a scheme makes numbers of, or that some scheme would.
  bool is_quantized() const;
};

// Pairs every weight of a checkpoint with its partners, across shards, and finds its scheme.
// What a weight is, its tensors say; the configuration says how such tensors are read. Codes
// without a tensor that belongs to them are kMissingScale, such a tensor without codes
// kOrphanScale, one of the wrong shape kWrongShape: shapes follow from the configuration's blocks
// and groups and are never inferred. Where several groups of the configuration are possible,
// exactly one must fit.
class StorageMap {
 public:
  // `spec` checks the shapes of weights whose tensors are packed, and tells the width of a row that
  // ends within a word; without it, rows end where words do.
  static Result<StorageMap> Of(const Checkpoint& checkpoint, const QuantArgs& args,
                               const ModelSpec* spec = nullptr);

  // One entry a logical weight, by name. Every tensor of the checkpoint is a part of exactly one.
  const std::vector<StoredWeight>& weights() const { return weights_; }
  // nullptr if there is none. O(log n).
  const StoredWeight* Find(std::string_view name) const;

 private:
  friend class Pairing;

  std::vector<StoredWeight> weights_;
  std::vector<std::unique_ptr<Scheme>> schemes_;
};

}  // namespace tessera
