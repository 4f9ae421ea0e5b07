#include "verify/model_weights.h"

#include "verify/arithmetic.h"

namespace tessera {
namespace {

uint64_t StoredBytes(const StoredWeight& weight) {
  uint64_t bytes = 0;
  for (const TensorExtent* part : weight.parts) bytes += part->info.bytes();
  return bytes;
}

}  // namespace

const StoredWeight* ModelWeights::Find(const TensorRole& role) const {
  return source_.storage->Find(source_.spec->NameOf(role));
}

const StoredWeight& ModelWeights::Of(const TensorRole& role) const {
  const StoredWeight* weight = Find(role);
  TESSERA_CHECK(weight != nullptr && weight->scheme != nullptr);
  return *weight;
}

bool ModelWeights::IsFp8(const TensorRole& role) const {
  const Dtype dtype = Of(role).parts[0]->info.dtype();
  return dtype == Dtype::kF8E4M3 || dtype == Dtype::kF8E5M2;
}

Result<void> ModelWeights::ReadRows(const TensorRole& role, RowRange range,
                                    std::span<float> out) const {
  const StoredWeight& weight = Of(role);
  const auto loaded = loaded_.find(&weight);
  const LoadedParts* parts = loaded == loaded_.end() ? nullptr : &loaded->second;
  WeightReader reader(*source_.checkpoint, weight, {.decoder = decoder_, .loaded = parts});
  TESSERA_TRY(reader.ReadRows(range, out));
  if (parts == nullptr) {
    for (size_t i = 0; i < weight.parts.size(); ++i) {
      counters_.done_bytes += weight.scheme->PartBytes(i, weight.rows, weight.cols, range).size();
    }
  }
  if (values_ == WeightValues::kBf16 && weight.parts[0]->info.dtype() != Dtype::kF32) {
    RoundToBf16(out);
  }
  return {};
}

Result<std::vector<float>> ModelWeights::ReadAll(const TensorRole& role) const {
  const StoredWeight& weight = Of(role);
  std::vector<float> values(weight.rows * weight.cols);
  TESSERA_TRY(ReadRows(role, {0, weight.rows}, values));
  return values;
}

std::vector<const StoredWeight*> ModelWeights::CommonWeights(uint32_t layer) const {
  std::vector<const StoredWeight*> weights;
  source_.spec->ForEach([&](const TensorRole& role) {
    if (role.layer != static_cast<int32_t>(layer) || role.mlp == Mlp::kRouted) return;
    // Embedding and head of an MTP layer are read like the main ones: rows, panels.
    if (role.module == Module::kMtpEmbedTokens || role.module == Module::kMtpHead) return;
    weights.push_back(&Of(role));
  });
  return weights;
}

uint64_t ModelWeights::CommonBytes(uint32_t layer) const {
  uint64_t bytes = 0;
  for (const StoredWeight* weight : CommonWeights(layer)) bytes += StoredBytes(*weight);
  return bytes;
}

Result<ModelWeights::Loaded> ModelWeights::LoadCommon(uint32_t layer) const {
  Loaded loaded;
  for (const StoredWeight* weight : CommonWeights(layer)) {
    TESSERA_ASSIGN(loaded[weight], LoadParts(*source_.checkpoint, *weight));
    counters_.done_bytes += StoredBytes(*weight);
  }
  return loaded;
}

Result<void> ModelWeights::Enter(uint32_t layer, std::optional<uint32_t> next) {
  Leave();
  const bool ready = pending_layer_ == layer;
  pending_layer_.reset();
  TESSERA_ASSIGN(loaded_, ready ? pending_.get() : LoadCommon(layer));
  if (next) {
    pending_ = std::async(std::launch::async, [this, next] { return LoadCommon(*next); });
    pending_layer_ = next;
  }
  return {};
}

void ModelWeights::Leave() { loaded_.clear(); }

}  // namespace tessera
