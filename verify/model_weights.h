// The weights of a model by their roles, as F32, for a forward pass that streams them.
#pragma once

#include <future>
#include <map>
#include <optional>
#include <vector>

#include "formats/model_spec.h"
#include "formats/work_counters.h"
#include "quant/source.h"
#include "quant/weight_reader.h"

namespace tessera {

// kBf16: what is not stored as F32 is rounded to BF16, as `cast --to bf16` would leave it.
enum class WeightValues : uint8_t { kStored, kBf16 };

class ModelWeights {
 public:
  // Borrows source and counters; done_bytes counts what is read.
  ModelWeights(const Source& source, WeightValues values, Decoder decoder, WorkCounters& counters)
      : source_(source), values_(values), decoder_(decoder), counters_(counters) {}

  // nullptr where the checkpoint has no such tensor.
  const StoredWeight* Find(const TensorRole& role) const;
  const StoredWeight& Of(const TensorRole& role) const;  // of a tensor known to be there
  bool IsFp8(const TensorRole& role) const;

  // Thread-safe. `out` holds range.size() rows.
  Result<void> ReadRows(const TensorRole& role, RowRange range, std::span<float> out) const;
  Result<std::vector<float>> ReadAll(const TensorRole& role) const;

  // Stored bytes of what every token needs of a layer: all but its routed experts.
  uint64_t CommonBytes(uint32_t layer) const;
  // Waits until those of `layer` are in memory, and reads those of `next` beside what follows.
  Result<void> Enter(uint32_t layer, std::optional<uint32_t> next);
  void Leave();  // forgets what Enter loaded

 private:
  using Loaded = std::map<const StoredWeight*, LoadedParts>;

  std::vector<const StoredWeight*> CommonWeights(uint32_t layer) const;
  Result<Loaded> LoadCommon(uint32_t layer) const;

  const Source& source_;
  WeightValues values_;
  Decoder decoder_;
  WorkCounters& counters_;
  Loaded loaded_;
  std::optional<uint32_t> pending_layer_;
  std::future<Result<Loaded>> pending_;
};

}  // namespace tessera
