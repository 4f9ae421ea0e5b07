#include "formats/gguf_tensors.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "formats/gguf_names.h"

namespace tessera {
namespace {

// From before llama.cpp split it: as Hugging Face has it.
constexpr std::string_view kWholeKvB = "attn_kv_b.weight", kKeys = "attn_k_b.weight";

class Mapping {
 public:
  Mapping(const ModelSpec& spec, std::span<const Shard> shards, FaultList& faults)
      : spec_(spec), shards_(shards), faults_(faults) {}

  void Add(const TensorExtent& stored) {
    const std::optional<GgufTensorRole> found = RoleOf(stored.info.name());
    if (!found) {
      return faults_.Add(Fault(ErrorCode::kUnknownTensor, stored, "is no tensor of deepseek2")
                             .Found(stored.info.Describe())
                             .Next("converters differ: this one's layout is not supported"));
    }
    if (!IsInModel(found->role)) {
      return faults_.Add(Fault(ErrorCode::kUnknownTensor, stored, "is no tensor of this model")
                             .Found(stored.info.Describe())
                             .Next("the file's metadata and its tensors contradict each other"));
    }
    if (found->role.mlp == Mlp::kRouted) return AddStack(stored, found->role);
    tensors_.push_back(stored);
    Result<TensorInfo> info =
        TensorInfo::Make(spec_.NameOf(found->role), stored.info.dtype(), stored.info.shape());
    TESSERA_CHECK(info.has_value());
    tensors_.back().info = *std::move(info);
  }

  std::vector<TensorExtent> Take() && {
    std::ranges::sort(tensors_, {},
                      [](const TensorExtent& t) -> const std::string& { return t.info.name(); });
    return std::move(tensors_);
  }

 private:
  Error Fault(ErrorCode code, const TensorExtent& stored, const char* what) const {
    return Error(code, stored.info.name() + " " + what)
        .Of(stored.info.name())
        .In(shards_[stored.shard].name);
  }

  // Layers, dense or not, and the parts of attention are as the metadata say.
  bool IsInModel(TensorRole role) const {
    if (role.part == Part::kKeyHeads || role.part == Part::kValueHeads) role.part = Part::kWeight;
    if (role.mlp == Mlp::kRouted) role.expert = 0;
    return spec_.ShapeOf(role).has_value();
  }

  static std::optional<GgufTensorRole> RoleOf(std::string_view name) {
    std::optional<GgufTensorRole> found;
    if (name.ends_with(kWholeKvB)) {
      found =
          ParseGgufName(std::string(name.substr(0, name.size() - kWholeKvB.size())).append(kKeys));
    } else {
      found = ParseGgufName(name);
      if (found && found->role.module == Module::kKvB) {
        found->role.part = found->part == 0 ? Part::kKeyHeads : Part::kValueHeads;
      }
    }
    return found;
  }

  // The experts lie one behind the other, by number.
  void AddStack(const TensorExtent& stored, TensorRole role) {
    const Shape& shape = stored.info.shape();
    if (shape.size() != 3 || shape[0] != spec_.n_routed_experts) {
      return faults_.Add(Fault(ErrorCode::kWrongShape, stored, "is no stack of all experts")
                             .Expected(std::to_string(spec_.n_routed_experts) + " matrices")
                             .Found(stored.info.Describe()));
    }
    for (uint32_t expert = 0; expert < spec_.n_routed_experts; ++expert) {
      role.expert = static_cast<int32_t>(expert);
      Result<TensorInfo> info =
          TensorInfo::Make(spec_.NameOf(role), stored.info.dtype(), {shape[1], shape[2]});
      TESSERA_CHECK(info.has_value());
      const uint64_t offset = stored.offset + expert * info->bytes();
      tensors_.push_back({*std::move(info), stored.shard, offset});
    }
  }

  const ModelSpec& spec_;
  const std::span<const Shard> shards_;
  FaultList& faults_;
  std::vector<TensorExtent> tensors_;
};

}  // namespace

std::vector<TensorExtent> HfTensorsOfGguf(const ModelSpec& spec,
                                          std::span<const TensorExtent> stored,
                                          std::span<const Shard> shards, FaultList& faults) {
  Mapping mapping(spec, shards, faults);
  for (const TensorExtent& tensor : stored) {
    if (!faults.full()) mapping.Add(tensor);
  }
  return std::move(mapping).Take();
}

}  // namespace tessera
