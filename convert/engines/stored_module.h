// How a checkpoint stores each module, told from names, dtypes and shapes alone: also where we
// could not decode it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"

namespace tessera {

enum class Storage : uint8_t {
  kAbsent,
  kFloat,
  kFp8Block,
  kFp8Channel,
  kFp8Tensor,
  kInt8Channel,
  kInt8Block,
  kInt8Static,  // Ascend's W8A8: scales of weights and activations multiplied together
  kInt4Bytes,   // two codes a byte along the input, scales in groups: W4AFP8
  kPacked,      // compressed-tensors pack-quantized
  kAwq,
  kGptq,
  kNoScale,  // FP8 or INT8 codes without a scale
  kUnknown,
};
std::string_view Name(Storage storage);  // "block FP8"

struct StoredModule {
  std::string name;  // "model.layers.3.mlp.gate_proj"
  Storage storage = Storage::kUnknown;
  std::vector<std::pair<std::string, const TensorExtent*>> parts;  // by what follows the name

  // nullptr if there is none. `suffix` as in "weight_scale".
  const TensorExtent* Find(std::string_view suffix) const;
  // The tensor that holds the codes or values.
  const TensorExtent& main() const;
  // Scales along the input, as their shape tells; 1 where a row has one.
  uint64_t ScalesPerRow() const;
};

class StoredModules {
 public:
  explicit StoredModules(const Checkpoint& checkpoint);

  // nullptr for a name that no tensor has. O(log n).
  const StoredModule* Find(std::string_view name) const;
  Storage StorageOf(std::string_view name) const;
  const std::vector<StoredModule>& all() const { return modules_; }  // by name

 private:
  std::vector<StoredModule> modules_;
};

}  // namespace tessera
