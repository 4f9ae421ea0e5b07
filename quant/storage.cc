#include "quant/storage.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "quant/ggml_types.h"
#include "quant/scheme_ggml.h"
#include "quant/weight_layout.h"

namespace tessera {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr const char* kCheckDownload =
    "Nothing was written. Check the download with: tessera inspect --check DIR";

bool IsFp8(Dtype dtype) { return dtype == Dtype::kF8E4M3 || dtype == Dtype::kF8E5M2; }

bool Holds(std::span<const Dtype> types, Dtype dtype) {
  return std::ranges::find(types, dtype) != types.end();
}

// "X.weight_packed" to "X"; a name without a dot is its own stem.
std::string StemOf(std::string_view name) { return std::string(name.substr(0, name.rfind('.'))); }

// A weight of one tensor, its last dimension the columns; blocks need whole rows, and so a vector
// is one row.
StoredWeight GgmlWeight(const TensorExtent& tensor) {
  const uint64_t cols = tensor.info.shape().back();
  const uint64_t rows = cols == 0 ? 0 : tensor.info.elements() / cols;
  return {tensor.info.name(), &GgmlMatrixScheme(tensor.info.dtype()), rows, cols, {&tensor}};
}

bool IsGgmlFloat(Dtype dtype) { return IsPlainFloat(dtype) || IsGgmlType(dtype); }

// As a matrix: a vector [n] is [n, 1], a scalar [1, 1], and more dimensions fold into columns.
StoredWeight PlainWeight(const TensorExtent& tensor) {
  const Shape& shape = tensor.info.shape();
  StoredWeight weight{tensor.info.name(), &PlainScheme(tensor.info.dtype()), 1, 1, {&tensor}};
  if (!shape.empty()) weight.rows = shape[0];
  for (size_t i = 1; i < shape.size(); ++i) weight.cols *= shape[i];
  return weight;
}

StoredWeight OneTensorWeight(const TensorExtent& tensor) {
  if (IsPlainFloat(tensor.info.dtype())) return PlainWeight(tensor);
  if (IsGgmlType(tensor.info.dtype())) return GgmlWeight(tensor);
  return {tensor.info.name(), nullptr, 0, 0, {&tensor}};
}

}  // namespace

bool StoredWeight::is_plain() const {
  const Dtype dtype = parts[0]->info.dtype();
  return IsPlainFloat(dtype) && std::ranges::all_of(parts, [&](const TensorExtent* part) {
           return part->info.dtype() == dtype;
         });
}

bool StoredWeight::is_quantized() const {
  return !is_plain() && (parts.size() > 1 || Info(parts[0]->info.dtype()).is_block());
}

class Pairing {
 public:
  Pairing(const Checkpoint& checkpoint, const QuantArgs& args, const ModelSpec* spec)
      : checkpoint_(checkpoint),
        args_(args),
        spec_(spec),
        layouts_(args.Layouts()),
        taken_(checkpoint.tensors().size()) {}

  Result<StorageMap> Run() {
    for (const TensorExtent& tensor : checkpoint_.tensors()) {
      if (!HoldsCodes(tensor)) continue;
      TESSERA_ASSIGN(StoredWeight weight, Pair(tensor));
      for (const TensorExtent* part : weight.parts) taken_[checkpoint_.IndexOf(*part)] = true;
      map_.weights_.push_back(std::move(weight));
    }
    for (const TensorExtent& tensor : checkpoint_.tensors()) {
      if (taken_[checkpoint_.IndexOf(tensor)]) continue;
      const std::optional<Part> part = PartOf(tensor.info.name());
      if (part && IsBesideCodes(*part) && !IsInputScale(tensor, *part)) return Fail(Orphan(tensor));
      map_.weights_.push_back(OneTensorWeight(tensor));
    }
    std::ranges::sort(map_.weights_, {}, [](const StoredWeight& weight) {
      return std::pair<std::string_view, std::string_view>(weight.name,
                                                           weight.parts[0]->info.name());
    });
    TESSERA_TRY(CheckOnceEach());
    return std::move(map_);
  }

 private:
  struct Decoder {
    QuantGroup group;
    PartTypes types;
    const Scheme* scheme;
  };

  Error Refusal(ErrorCode code, const TensorExtent& tensor, std::string what) const {
    return Error(code, tensor.info.name() + std::move(what))
        .Of(tensor.info.name())
        .In(checkpoint_.shards()[tensor.shard].name);
  }

  // By its name or its type: INT8 may also be a table, where no layout claims it.
  bool HoldsCodes(const TensorExtent& tensor) const {
    const std::optional<Part> part = PartOf(tensor.info.name());
    if (part == Part::kPacked || part == Part::kQWeight || part == Part::kKeyHeads ||
        IsFp8(tensor.info.dtype())) {
      return true;
    }
    return tensor.info.dtype() == Dtype::kI8 && part == Part::kWeight &&
           std::ranges::any_of(layouts_, [&](const QuantGroup& g) { return CanHold(g, tensor); });
  }

  static bool CanHold(const QuantGroup& group, const TensorExtent& codes) {
    const LayoutInfo& layout = Info(group.layout);
    return Holds(layout.code_types, codes.info.dtype()) &&
           codes.info.name().ends_with(layout.codes);
  }

  // The weight of these codes, in the one way in which its tensors fit the configuration.
  Result<StoredWeight> Pair(const TensorExtent& codes) {
    if (PartOf(codes.info.name()) == Part::kKeyHeads) return PairHeads(codes);
    std::optional<StoredWeight> found;
    std::optional<Error> refused;
    for (const QuantGroup& group : layouts_) {
      if (!CanHold(group, codes)) continue;
      Result<StoredWeight> weight = Fit(codes, group);
      if (!weight) {
        if (!refused) refused = std::move(weight).error();
      } else if (found && found->scheme != weight->scheme) {
        return Fail(Refusal(ErrorCode::kBadConfig, codes,
                            " fits several groups of the quantization's configuration")
                        .Expected("groups that differ in what they store")
                        .Found(codes.info.Describe()));
      } else {
        found = *std::move(weight);
      }
    }
    if (found) return *std::move(found);
    if (refused) return Fail(*std::move(refused));
    return Fail(Unexplained(codes));
  }

  // kv_b_proj as GGUF has it.
  Result<StoredWeight> PairHeads(const TensorExtent& keys) {
    const std::string stem = StemOf(keys.info.name());
    const std::string other = stem + std::string(kKvBSuffixes[1]);
    const TensorExtent* values = checkpoint_.Find(other);
    if (values == nullptr) {
      return Fail(Refusal(ErrorCode::kMissingTensor, keys, " has no " + other)
                      .Expected(other + ", in any file")
                      .Next(kCheckDownload));
    }
    const Shape &k = keys.info.shape(), &v = values->info.shape();
    if (k.size() != 3 || v.size() != 3 || k[0] != v[0] || k[1] != v[2] ||
        !IsGgmlFloat(keys.info.dtype()) || !IsGgmlFloat(values->info.dtype()) ||
        keys.info.elements() == 0 || values->info.elements() == 0) {
      return Fail(
          Refusal(ErrorCode::kWrongShape, keys, " does not fit " + other)
              .Expected("[heads, rank, columns] and [heads, rows, rank] that can be decoded")
              .Found(keys.info.Describe() + " and " + values->info.Describe()));
    }
    const std::string name = stem + std::string(kWeight);
    const GgmlKvBArgs args{.heads = k[0],
                           .nope = k[2],
                           .v = v[1],
                           .k_type = keys.info.dtype(),
                           .v_type = values->info.dtype()};
    StoredWeight weight{name, HeadsScheme(args), k[0] * (k[2] + v[1]), k[1], {&keys, values}};
    if (spec_ == nullptr) return weight;
    const Shape expected = {spec_->num_attention_heads, spec_->kv_lora_rank,
                            spec_->qk_nope_head_dim};
    if (k == expected && v[1] == spec_->v_head_dim) return weight;
    return Fail(Refusal(ErrorCode::kWrongShape, keys, " has the wrong shape")
                    .Expected(ToString(expected) + " beside " + std::to_string(spec_->v_head_dim) +
                              " rows of values, as config.json describes it")
                    .Found(keys.info.Describe() + " and " + values->info.Describe()));
  }

  // One scheme for each pair of types: the heads are alike.
  const Scheme* HeadsScheme(const GgmlKvBArgs& args) {
    const auto known =
        std::ranges::find(heads_, args, &std::pair<GgmlKvBArgs, const Scheme*>::first);
    if (known != heads_.end()) return known->second;
    map_.schemes_.push_back(MakeGgmlKvBScheme(args));
    return heads_.emplace_back(args, map_.schemes_.back().get()).second;
  }

  Error Unexplained(const TensorExtent& codes) const {
    const bool fp8 = IsFp8(codes.info.dtype());
    std::string found = "no quantization_config";
    if (args_.method != QuantMethod::kNone)
      found = "quant_method " + std::string(Name(args_.method));
    return Refusal(ErrorCode::kBadConfig, codes,
                   fp8 ? " is FP8, but config.json does not say how it is scaled"
                       : " is quantized, but config.json does not say how")
        .Expected(fp8 ? "quantization_config with weight_block_size"
                      : "quantization_config for tensors of this name and type")
        .Found(codes.info.Describe() + ", " + found);
  }

  Result<StoredWeight> Fit(const TensorExtent& codes, const QuantGroup& group) {
    const TensorInfo& info = codes.info;
    if (info.shape().size() != 2) {
      return Fail(Refusal(ErrorCode::kWrongShape, codes, " is quantized but no matrix")
                      .Expected("two dimensions")
                      .Found(info.Describe()));
    }
    const std::string stem = StemOf(info.name());
    const std::string name = stem + std::string(kWeight);
    const std::optional<TensorRole> role = spec_ == nullptr ? std::nullopt : spec_->Parse(name);
    const std::optional<Shape> expected = role ? spec_->ShapeOf(*role) : std::nullopt;
    const Shape shape = ShapeOfWeight(group, info.shape(), expected ? &*expected : nullptr);
    // Of codes that are not packed the tensor's own shape has been compared.
    if (expected && shape != *expected && !IsFp8(info.dtype())) {
      return Fail(Refusal(ErrorCode::kWrongShape, codes, " has the wrong shape")
                      .Expected("codes of " + ToString(*expected) + ", as config.json describes it")
                      .Found(info.Describe() + ", codes of " + ToString(shape)));
    }
    StoredWeight weight{name,
                        DecoderOf(group, TypesOf(Info(group.layout), codes, stem)),
                        shape[0],
                        shape[1],
                        {&codes}};
    const std::vector<PartSpec> parts = weight.scheme->Parts(shape[0], shape[1]);
    TESSERA_TRY(CheckPart(codes, parts[0], codes));
    for (size_t i = 1; i < parts.size(); ++i) {
      const TensorExtent* part = checkpoint_.Find(stem + parts[i].suffix);
      if (part == nullptr) return Fail(Missing(codes, stem, parts[i]));
      TESSERA_TRY(CheckPart(*part, parts[i], codes));
      weight.parts.push_back(part);
    }
    return weight;
  }

  Error Missing(const TensorExtent& codes, const std::string& stem, const PartSpec& part) const {
    const std::string name = stem + part.suffix;
    return Refusal(ErrorCode::kMissingScale, codes, " has no " + name)
        .Expected(name + ", " + std::string(Name(part.dtype)) + " " + ToString(part.shape) +
                  ", in any shard")
        .Found("none for " + codes.info.Describe())
        .Next(kCheckDownload);
  }

  Result<void> CheckPart(const TensorExtent& tensor, const PartSpec& part,
                         const TensorExtent& codes) const {
    if (tensor.info.dtype() != part.dtype) {
      return Fail(Refusal(ErrorCode::kWrongDtype, tensor, " has the wrong type")
                      .Expected(std::string(Name(part.dtype)) + " " + ToString(part.shape))
                      .Found(tensor.info.Describe()));
    }
    if (tensor.info.shape() == part.shape) return {};
    return Fail(Refusal(ErrorCode::kWrongShape, tensor, " does not fit its weight")
                    .Expected(ToString(part.shape) + " for " + codes.info.name() + ", " +
                              codes.info.Describe())
                    .Found(tensor.info.Describe()));
  }

  // The types that the parts of a weight have, as far as its layout leaves them open.
  PartTypes TypesOf(const LayoutInfo& layout, const TensorExtent& codes,
                    const std::string& stem) const {
    PartTypes types{codes.info.dtype(), layout.scale_types.front()};
    const TensorExtent* scale = checkpoint_.Find(stem + std::string(layout.scale));
    if (scale != nullptr && Holds(layout.scale_types, scale->info.dtype())) {
      types.scale = scale->info.dtype();
    }
    const TensorExtent* shape = checkpoint_.Find(stem + ".weight_shape");
    if (shape != nullptr && shape->info.dtype() == Dtype::kI32) types.shape = Dtype::kI32;
    return types;
  }

  // One scheme for every kind of weight that the checkpoint has.
  const Scheme* DecoderOf(QuantGroup group, const PartTypes& types) {
    group.targets.clear();
    const auto known = std::ranges::find_if(
        decoders_, [&](const Decoder& d) { return d.group == group && d.types == types; });
    if (known != decoders_.end()) return known->scheme;
    map_.schemes_.push_back(MakeDecoder(group, args_, types));
    decoders_.push_back({std::move(group), types, map_.schemes_.back().get()});
    return decoders_.back().scheme;
  }

  // What activations are divided by: beside INT4 experts, and no part of what the weight is.
  bool IsInputScale(const TensorExtent& tensor, Part part) const {
    return part == Part::kInputScale && args_.method == QuantMethod::kInt4Fp8 &&
           tensor.info.dtype() == Dtype::kF32 && tensor.info.elements() == 1;
  }

  Error Orphan(const TensorExtent& tensor) const {
    const std::string weight = StemOf(tensor.info.name()) + std::string(kWeight);
    std::string expected = "none: the configuration knows no tensor of this name";
    for (const QuantGroup& group : layouts_) {
      const LayoutInfo& layout = Info(group.layout);
      expected = StemOf(weight) + std::string(layout.codes) + ", " +
                 std::string(Name(layout.code_types.front())) + ", in any shard";
      if (tensor.info.name().ends_with(layout.scale)) break;
    }
    const TensorExtent* found = checkpoint_.Find(weight);
    return Refusal(ErrorCode::kOrphanScale, tensor, " is a scale without its weight")
        .Expected(std::move(expected))
        .Found(found == nullptr ? "none" : found->info.Describe())
        .Next("Nothing was written. Is the download complete?");
  }

  Result<void> CheckOnceEach() const {
    const auto& weights = map_.weights_;
    const auto twice = std::ranges::adjacent_find(weights, {}, &StoredWeight::name);
    if (twice == weights.end()) return {};
    return Fail(Refusal(ErrorCode::kDuplicateTensor, *twice[1].parts[0],
                        " stores a weight that is stored already")
                    .Expected("a weight either quantized or plain")
                    .Found(twice[0].parts[0]->info.name() + ", " +
                           twice[0].parts[0]->info.Describe() + ", too"));
  }

  const Checkpoint& checkpoint_;
  const QuantArgs& args_;
  const ModelSpec* spec_;
  const std::vector<QuantGroup> layouts_;
  std::vector<bool> taken_;  // by tensor: it is a part of a quantized weight
  std::vector<Decoder> decoders_;
  std::vector<std::pair<GgmlKvBArgs, const Scheme*>> heads_;
  StorageMap map_;
};

Result<StorageMap> StorageMap::Of(const Checkpoint& checkpoint, const QuantArgs& args,
                                  const ModelSpec* spec) {
  return Pairing(checkpoint, args, spec).Run();
}

const StoredWeight* StorageMap::Find(std::string_view name) const {
  const auto it = std::ranges::lower_bound(weights_, name, {}, &StoredWeight::name);
  return it == weights_.end() || it->name != name ? nullptr : &*it;
}

}  // namespace tessera
