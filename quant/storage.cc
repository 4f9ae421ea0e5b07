#include "quant/storage.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace tessera {
namespace {

constexpr std::string_view kScaleSuffix = "_scale_inv";

bool IsFp8(Dtype dtype) { return dtype == Dtype::kF8E4M3 || dtype == Dtype::kF8E5M2; }

const std::string& FileOf(const Checkpoint& checkpoint, const TensorExtent& tensor) {
  return checkpoint.shards()[tensor.shard].name;
}

Error Refusal(ErrorCode code, const Checkpoint& checkpoint, const TensorExtent& tensor,
              std::string what) {
  return Error(code, tensor.info.name() + std::move(what))
      .Of(tensor.info.name())
      .In(FileOf(checkpoint, tensor));
}

// The weight that a scale belongs to, by its name; empty for any other tensor.
std::string_view WeightOfScale(std::string_view name) {
  if (!name.ends_with(kScaleSuffix)) return {};
  return name.substr(0, name.size() - kScaleSuffix.size());
}

Result<void> CheckScaleHasWeight(const Checkpoint& checkpoint, const TensorExtent& scale) {
  const std::string weight_name(WeightOfScale(scale.info.name()));
  const TensorExtent* weight = checkpoint.Find(weight_name);
  if (weight != nullptr && IsFp8(weight->info.dtype())) return {};
  return Fail(Refusal(ErrorCode::kOrphanScale, checkpoint, scale, " is a scale without its weight")
                  .Expected(weight_name + ", F8_E4M3, in any shard")
                  .Found(weight == nullptr ? "none" : weight->info.Describe())
                  .Next("Nothing was written. Is the download complete?"));
}

// The scale of an FP8 weight, with the type and the grid that the block size demands.
Result<const TensorExtent*> FindScale(const Checkpoint& checkpoint, const TensorExtent& weight,
                                      const QuantArgs& args) {
  const TensorInfo& info = weight.info;
  if (args.method != QuantMethod::kFp8Block) {
    return Fail(Refusal(ErrorCode::kBadConfig, checkpoint, weight,
                        " is FP8, but config.json does not say how it is scaled")
                    .Expected("quantization_config with weight_block_size")
                    .Found("no quantization_config"));
  }
  if (info.shape().size() != 2) {
    return Fail(Refusal(ErrorCode::kWrongShape, checkpoint, weight, " is FP8 but no matrix")
                    .Expected("two dimensions")
                    .Found(info.Describe()));
  }
  const Shape grid = {(info.shape()[0] + args.block_rows - 1) / args.block_rows,
                      (info.shape()[1] + args.block_cols - 1) / args.block_cols};
  const std::string name = info.name() + std::string(kScaleSuffix);
  const std::string wanted = name + ", F32 " + ToString(grid);
  const TensorExtent* scale = checkpoint.Find(name);
  if (scale == nullptr) {
    return Fail(
        Refusal(ErrorCode::kMissingScale, checkpoint, weight, " has no " + name)
            .Expected(wanted + ", in any shard")
            .Found("none for " + info.Describe())
            .Next("Nothing was written. Check the download with: tessera inspect --check DIR"));
  }
  if (scale->info.dtype() != Dtype::kF32 && scale->info.dtype() != Dtype::kF8E8M0) {
    return Fail(Refusal(ErrorCode::kWrongDtype, checkpoint, *scale, " has the wrong type")
                    .Expected(wanted + ", or F8_E8M0")
                    .Found(scale->info.Describe()));
  }
  if (scale->info.shape() != grid) {
    return Fail(Refusal(ErrorCode::kWrongShape, checkpoint, *scale,
                        " does not fit the blocks of its weight")
                    .Expected(ToString(grid) + " for " + info.Describe())
                    .Found(scale->info.Describe()));
  }
  return scale;
}

// As a matrix: a vector [n] is [n, 1], a scalar [1, 1], and more dimensions fold into columns.
StoredWeight PlainWeight(const TensorExtent& tensor) {
  const Shape& shape = tensor.info.shape();
  StoredWeight weight{&PlainScheme(tensor.info.dtype()), 1, 1, {&tensor}};
  if (!shape.empty()) weight.rows = shape[0];
  for (size_t i = 1; i < shape.size(); ++i) weight.cols *= shape[i];
  return weight;
}

// One scheme for every kind of code and scale that the checkpoint has.
class Fp8Schemes {
 public:
  Fp8Schemes(const QuantArgs& args, std::vector<std::unique_ptr<Scheme>>& owner)
      : args_(args), owner_(owner) {}

  const Scheme* Of(Dtype code, Dtype scale) {
    const auto known = std::ranges::find(kinds_, std::pair(code, scale));
    const auto i = static_cast<size_t>(known - kinds_.begin());
    if (i == kinds_.size()) {
      kinds_.emplace_back(code, scale);
      owner_.push_back(MakeFp8BlockScheme({.code = code,
                                           .scale = scale,
                                           .block_rows = args_.block_rows,
                                           .block_cols = args_.block_cols}));
    }
    return owner_[i].get();
  }

 private:
  const QuantArgs& args_;
  std::vector<std::unique_ptr<Scheme>>& owner_;
  std::vector<std::pair<Dtype, Dtype>> kinds_;  // of owner_, in its order
};

}  // namespace

Result<StorageMap> StorageMap::Of(const Checkpoint& checkpoint, const QuantArgs& args) {
  StorageMap map;
  Fp8Schemes schemes(args, map.schemes_);
  for (const TensorExtent& tensor : checkpoint.tensors()) {
    const TensorInfo& info = tensor.info;
    if (!WeightOfScale(info.name()).empty()) {
      TESSERA_TRY(CheckScaleHasWeight(checkpoint, tensor));
    } else if (IsFp8(info.dtype())) {
      TESSERA_ASSIGN(const TensorExtent* scale, FindScale(checkpoint, tensor, args));
      map.weights_.push_back({schemes.Of(info.dtype(), scale->info.dtype()),
                              info.shape()[0],
                              info.shape()[1],
                              {&tensor, scale}});
    } else if (IsPlainFloat(info.dtype())) {
      map.weights_.push_back(PlainWeight(tensor));
    } else {
      map.weights_.push_back({nullptr, 0, 0, {&tensor}});
    }
  }
  return map;
}

}  // namespace tessera
