#include "verify/config_faults.h"

#include <algorithm>
#include <optional>

#include "formats/shard_name.h"

namespace tessera {
namespace {

constexpr size_t kMaxFaults = 1000;

// The weight that a stored tensor belongs to: "X.weight" of "X.weight_packed".
std::string LogicalName(const ComparedCheckpoint& side, const std::string& tensor) {
  if (side.Find(tensor) != nullptr) return tensor;
  std::string weight = tensor.substr(0, tensor.rfind('.')) + ".weight";
  return side.Find(weight) != nullptr ? weight : tensor;
}

bool IsOfMtp(const ComparedCheckpoint& side, const std::string& tensor) {
  const std::optional<TensorRole> role = side.spec.Parse(tensor);
  return role && side.spec.IsMtp(*role);
}

void AddFaults(Side which, const ComparedCheckpoint& side, const ComparedCheckpoint& other,
               std::vector<ConfigFault>& faults) {
  if (IsOneOfSeveral(side.path)) return;
  const bool has_mtp = std::ranges::any_of(
      side.tensors, [&](const LogicalTensor& tensor) { return IsOfMtp(side, tensor.name); });
  for (const Error& fault : CheckCompleteness(side.spec, side.checkpoint, kMaxFaults).faults) {
    const bool missing = fault.code() == ErrorCode::kMissingTensor;
    const std::string name = missing ? fault.tensor() : LogicalName(side, fault.tensor());
    if (missing == (other.Find(name) != nullptr)) continue;
    // Many releases drop the whole module and leave the config as it was.
    if (missing && !has_mtp && IsOfMtp(side, name)) continue;
    const bool told =
        !faults.empty() && faults.back().side == which && faults.back().tensor == name;
    if (told) continue;
    std::string what = fault.what();
    for (const auto& [label, text] : fault.facts()) what += "; " + label + ": " + text;
    faults.push_back({which, std::string(Name(fault.code())), name, std::move(what)});
  }
}

}  // namespace

std::vector<ConfigFault> FindConfigFaults(const ComparedCheckpoint& a,
                                          const ComparedCheckpoint& b) {
  std::vector<ConfigFault> faults;
  AddFaults(Side::kA, a, b, faults);
  AddFaults(Side::kB, b, a, faults);
  return faults;
}

}  // namespace tessera
