#include "verify/tensor_match.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace tessera {
namespace {

constexpr int32_t kNoLayer = -1;

// What a side holds, as far as it explains what it lacks.
struct Holdings {
  explicit Holdings(const ComparedCheckpoint& checkpoint) : spec(checkpoint.spec) {
    for (const LogicalTensor& tensor : checkpoint.tensors) {
      const std::optional<TensorRole> role = spec.Parse(tensor.name);
      if (!role) continue;
      layers.insert(role->layer);
      (spec.IsMtp(*role) ? mtp : main) = true;
    }
  }

  const ModelSpec& spec;
  std::set<int32_t> layers;
  bool mtp = false, main = false;
};

struct Reason {
  std::string rule, what;
  bool explained;
};

Reason ReasonFor(const ModelSpec& spec, const std::string& name, const Holdings& other) {
  const std::optional<TensorRole> role = spec.Parse(name);
  if (!role) return {"unknown-name", "tensors that the model does not have", false};
  if (spec.IsMtp(*role) && !other.mtp) {
    return {"mtp-module", "the MTP module", other.spec.num_nextn_predict_layers == 0};
  }
  if (!spec.IsMtp(*role) && !other.main && other.mtp) {
    return {"main-model", "the main model", true};
  }
  if (role->part == Part::kInputScale) {
    return {"input-scale", "scales of activations, which go with INT4 experts", true};
  }
  if (role->part == Part::kBuffer) return {"stray-buffer", "buffers that loaders compute", true};
  if (spec.IsOptional(*role)) {
    return spec.IsMtp(*role)
               ? Reason{"mtp-copies", "the MTP module's copies of embedding and head", true}
               : Reason{"tied-head", "the head, which is the embedding", true};
  }
  if (role->layer != kNoLayer && !other.layers.contains(role->layer)) {
    return {"missing-layer", "layer " + std::to_string(role->layer), false};
  }
  return {"missing-tensor", "single tensors", false};
}

void AddUnmatched(const ComparedCheckpoint& from, const ComparedCheckpoint& other, Side side,
                  std::vector<UnmatchedGroup>& groups) {
  const Holdings holdings(other);
  std::map<std::pair<std::string, std::string>, UnmatchedGroup> by_reason;
  for (const LogicalTensor& tensor : from.tensors) {
    if (other.Find(tensor.name) != nullptr) continue;
    Reason reason = ReasonFor(from.spec, tensor.name, holdings);
    UnmatchedGroup& group = by_reason[{reason.rule, reason.what}];
    group.side = side;
    group.rule = std::move(reason.rule);
    group.what = std::move(reason.what);
    group.explained = reason.explained;
    group.names.push_back(tensor.name);
    group.places.push_back(PlaceOf(from.spec, tensor.name));
  }
  for (auto& [reason, group] : by_reason) groups.push_back(std::move(group));
}

}  // namespace

TensorMatch MatchTensors(const ComparedCheckpoint& a, const ComparedCheckpoint& b) {
  TensorMatch match;
  for (const LogicalTensor& tensor : a.tensors) {
    if (const LogicalTensor* other = b.Find(tensor.name)) match.pairs.push_back({&tensor, other});
  }
  AddUnmatched(a, b, Side::kA, match.unmatched);
  AddUnmatched(b, a, Side::kB, match.unmatched);
  return match;
}

}  // namespace tessera
