// Does a checkpoint hold what its config.json promises?
#include <algorithm>
#include <utility>
#include <vector>

#include "formats/model_spec.h"

namespace tessera {
namespace {

bool HasMtp(Family family) {
  return family == Family::kV3 || family == Family::kV31 || family == Family::kV32 ||
         family == Family::kGlm5;
}

class CompletenessCheck {
 public:
  CompletenessCheck(const ModelSpec& spec, const Checkpoint& checkpoint, size_t limit)
      : spec_(spec), checkpoint_(checkpoint), limit_(limit) {}

  CompletenessReport Run() {
    FindRoles();
    spec_.ForEach([&](const TensorRole& role) {
      if (Full() || spec_.IsOptional(role)) return;
      if (report_.coverage == Coverage::kMtpOnly && !spec_.IsMtp(role)) return;
      if (!IsThere(role)) report_.faults.push_back(Missing(role, spec_.NameOf(role)));
    });
    const std::span<const TensorExtent> tensors = checkpoint_.tensors();
    for (size_t i = 0; i < tensors.size() && !Full(); ++i) {
      if (!roles_[i]) report_.faults.push_back(Unknown(tensors[i]));
    }
    for (size_t i = 0; i < tensors.size() && !Full(); ++i) {
      const std::optional<Shape> shape = roles_[i] ? spec_.ShapeOf(*roles_[i]) : std::nullopt;
      const TensorInfo& info = tensors[i].info;
      if (shape && info.dtype() != Dtype::kI8 && *shape != info.shape()) {
        report_.faults.push_back(WrongShape(tensors[i], *shape));
      }
    }
    return std::move(report_);
  }

 private:
  bool Full() const { return report_.faults.size() >= limit_; }

  bool IsThere(TensorRole role) const {
    if (checkpoint_.Find(spec_.NameOf(role)) != nullptr) return true;
    if (role.part != Part::kWeight || spec_.ShapeOf(role)->size() != 2) return false;
    for (const Part part : {Part::kPacked, Part::kQWeight, Part::kKeyHeads}) {
      if (part == Part::kKeyHeads && role.module != Module::kKvB) continue;
      role.part = part;
      if (checkpoint_.Find(spec_.NameOf(role)) != nullptr) return true;
    }
    return false;
  }

  void FindRoles() {
    size_t main = 0;
    for (const TensorExtent& tensor : checkpoint_.tensors()) {
      roles_.push_back(spec_.Parse(tensor.info.name()));
      if (!roles_.back()) continue;
      ++(spec_.IsMtp(*roles_.back()) ? mtp_ : main);
    }
    if (mtp_ != 0 && main == 0) {
      report_.coverage = Coverage::kMtpOnly;
    } else if (spec_.num_nextn_predict_layers == 0 && HasMtp(spec_.family())) {
      report_.coverage = Coverage::kMainOnly;
    }
  }

  Error Missing(const TensorRole& role, const std::string& name) const {
    Error error = Error(ErrorCode::kMissingTensor, name + " is missing")
                      .Of(name)
                      .Expected(ToString(*spec_.ShapeOf(role)) + ", as config.json describes it")
                      .Found("no tensor of that name in " + Shards());
    if (spec_.IsMtp(role) && mtp_ == 0) {
      return std::move(error).Next(
          "No tensor of the MTP module is here. If the main model alone is meant, config.json must "
          "say num_nextn_predict_layers: 0.");
    }
    return std::move(error).Next(
        "Complete the download; the checkpoint cannot be used without this tensor.");
  }

  Error Unknown(const TensorExtent& tensor) const {
    return Error(ErrorCode::kUnknownTensor,
                 tensor.info.name() + " is no tensor of this " + spec_.model_type() + " model")
        .Of(tensor.info.name())
        .In(ShardName(tensor))
        .Expected("only names that config.json implies: " + std::to_string(spec_.total_layers()) +
                  " layers with " + std::to_string(spec_.n_routed_experts) + " experts")
        .Found(tensor.info.Describe())
        .Next(
            "Check that config.json belongs to these files and that no foreign file is among "
            "them.");
  }

  Error WrongShape(const TensorExtent& tensor, const Shape& expected) const {
    return Error(ErrorCode::kWrongShape, tensor.info.name() + " has the wrong shape")
        .Of(tensor.info.name())
        .In(ShardName(tensor))
        .Expected(ToString(expected) + ", as config.json describes it")
        .Found(tensor.info.Describe())
        .Next("Check that config.json belongs to these files.");
  }

  const std::string& ShardName(const TensorExtent& tensor) const {
    return checkpoint_.shards()[tensor.shard].name;
  }
  std::string Shards() const {
    const size_t n = checkpoint_.shards().size();
    return n == 1 ? "the one shard" : "the " + std::to_string(n) + " shards";
  }

  const ModelSpec& spec_;
  const Checkpoint& checkpoint_;
  const size_t limit_;
  std::vector<std::optional<TensorRole>> roles_;  // by tensor
  size_t mtp_ = 0;                                // tensors of MTP layers
  CompletenessReport report_;
};

}  // namespace

Result<ModelSpec> ModelSpec::Of(const Checkpoint& checkpoint) {
  const std::string file = checkpoint.config_path().string();
  if (!checkpoint.config_text()) return Fail(checkpoint.NoConfig());
  Result<Json> config = ParseJson(*checkpoint.config_text());
  if (!config) return Fail(std::move(config).error().Within(file));
  Result<ModelSpec> spec = FromConfig(*config);
  if (!spec) return Fail(std::move(spec).error().Within(file));
  return spec;
}

CompletenessReport CheckCompleteness(const ModelSpec& spec, const Checkpoint& checkpoint,
                                     size_t limit) {
  return CompletenessCheck(spec, checkpoint, limit).Run();
}

}  // namespace tessera
