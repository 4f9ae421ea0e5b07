#include "convert/planner.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "convert/config_edit.h"
#include "convert/coverage.h"
#include "convert/output_layout.h"
#include "formats/json.h"
#include "formats/model_spec.h"
#include "quant/quant_args.h"

namespace tessera {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";
constexpr std::string_view kIndexName = "model.safetensors.index.json";

// A checkpoint with everything that is known about it before a weight is read.
struct Source {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const StorageMap> storage;
  Json config;
  QuantArgs quant;
};

Result<Source> OpenSource(const std::filesystem::path& path, bool no_index) {
  Source source;
  TESSERA_ASSIGN(Checkpoint checkpoint, Checkpoint::Open(path, {.allow_no_index = no_index}));
  if (!checkpoint.config_text()) {
    return Fail(Error(ErrorCode::kNoConfig, "there is no config.json beside the weights")
                    .In(checkpoint.dir().string())
                    .Next("without it the model is unknown: get config.json from where the weights "
                          "came from"));
  }
  const auto within = [&](Error error) {
    return Fail(std::move(error).Within((checkpoint.dir() / "config.json").string()));
  };
  Result<Json> config = ParseJson(*checkpoint.config_text());
  if (!config) return within(std::move(config).error());
  Result<QuantArgs> quant = QuantArgs::FromConfig(*config);
  if (!quant) return within(std::move(quant).error());
  TESSERA_ASSIGN(StorageMap storage, StorageMap::Of(checkpoint, *quant));
  source.checkpoint = std::make_shared<Checkpoint>(std::move(checkpoint));
  source.storage = std::make_shared<StorageMap>(std::move(storage));
  source.config = *std::move(config);
  source.quant = *std::move(quant);
  return source;
}

// What becomes of one stored weight.
struct Decision {
  Action by = Action::kCopied;
  const Scheme* to = nullptr;            // null: every part is copied as it is
  std::string_view rule = {};            // of a dropped one
  const StoredWeight* scales = nullptr;  // --scales-from: the weight whose scales are used
};

Dtype TargetDtype(CastTo to) {
  switch (to) {
    case CastTo::kF16:
      return Dtype::kF16;
    case CastTo::kF32:
      return Dtype::kF32;
    default:
      return Dtype::kBF16;
  }
}

std::string_view ConfigDtype(CastTo to) {
  switch (to) {
    case CastTo::kF16:
      return "float16";
    case CastTo::kF32:
      return "float32";
    default:
      return "bfloat16";
  }
}

class Planner {
 public:
  explicit Planner(const Request& request) : request_(request) {}

  Result<Plan> Run() {
    TESSERA_ASSIGN(source_, OpenSource(request_.in, request_.no_index));
    plan_.sources = {source_.checkpoint};
    plan_.storage = {source_.storage};
    TESSERA_ASSIGN(ModelSpec spec, ModelSpec::FromConfig(source_.config));
    spec_ = std::move(spec);
    TESSERA_TRY(CheckRequest());
    if (request_.scales_from) TESSERA_TRY(OpenScales());
    plan_.source_actions.assign(source_.checkpoint->tensors().size(), Action::kCopied);
    for (const StoredWeight* weight : InFileOrder()) TESSERA_TRY(Add(*weight));
    TESSERA_TRY(Place());
    Count();
    plan_.hash = HashPlan(plan_);
    return std::move(plan_);
  }

 private:
  Result<void> CheckRequest() {
    CompletenessReport report = CheckCompleteness(*spec_, *source_.checkpoint, 1);
    if (!report.faults.empty()) return Fail(std::move(report.faults.front()));
    const bool has_mtp =
        spec_->num_nextn_predict_layers > 0 && report.coverage != Coverage::kMainOnly;
    if (request_.mtp == MtpMode::kOnly && !has_mtp) {
      return Fail(Error(ErrorCode::kUnsupported, "this checkpoint has no MTP module to keep")
                      .In(source_.checkpoint->dir().string()));
    }
    if (request_.mtp == MtpMode::kDrop && report.coverage == Coverage::kMtpOnly) {
      return Fail(Error(ErrorCode::kUnsupported,
                        "this checkpoint is an MTP module alone: without it nothing would be left")
                      .In(source_.checkpoint->dir().string()));
    }
    return {};
  }

  Result<void> OpenScales() {
    TESSERA_ASSIGN(scales_, OpenSource(*request_.scales_from, request_.no_index));
    if (scales_->quant.method != QuantMethod::kFp8Block) {
      return Fail(Error(ErrorCode::kUnsupported, "--scales-from needs a block-FP8 checkpoint")
                      .In(scales_->checkpoint->dir().string())
                      .Expected("quantization_config with quant_method fp8"));
    }
    plan_.sources.push_back(scales_->checkpoint);
    plan_.storage.push_back(scales_->storage);
    return {};
  }

  // Reading follows the files from front to back, whatever the order of names.
  std::vector<const StoredWeight*> InFileOrder() const {
    std::vector<const StoredWeight*> weights;
    weights.reserve(source_.storage->weights().size());
    for (const StoredWeight& weight : source_.storage->weights()) weights.push_back(&weight);
    std::ranges::sort(weights, {}, [](const StoredWeight* w) {
      return std::tuple(w->parts[0]->shard, w->parts[0]->offset,
                        std::string_view(w->parts[0]->info.name()));
    });
    return weights;
  }

  Result<Decision> Decide(const StoredWeight& weight) {
    const std::string& name = weight.parts[0]->info.name();
    const std::optional<TensorRole> role = spec_->Parse(name);
    TESSERA_CHECK(role.has_value());  // CheckCompleteness has refused unknown tensors
    if (spec_->IsMtp(*role) ? request_.mtp == MtpMode::kDrop : request_.mtp == MtpMode::kOnly) {
      return Decision{.by = Action::kDropped,
                      .rule = spec_->IsMtp(*role) ? "mtp-drop" : "mtp-only"};
    }
    if (request_.to == CastTo::kStored || weight.scheme == nullptr || role->part == Part::kBuffer) {
      return Decision{};
    }
    if (request_.to == CastTo::kFp8) return DecideFp8(weight, *role);
    const Dtype dtype = weight.parts[0]->info.dtype();
    const Dtype target = TargetDtype(request_.to);
    // F32 stays F32: whoever stored a router bias or a norm wide meant it.
    if (dtype == target || (dtype == Dtype::kF32 && IsPlainFloat(dtype))) return Decision{};
    return Decision{.by = IsPlainFloat(dtype) ? Action::kCast : Action::kDequantized,
                    .to = &PlainScheme(target, request_.saturate)};
  }

  Result<Decision> DecideFp8(const StoredWeight& weight, const TensorRole& role) {
    const TensorInfo& info = weight.parts[0]->info;
    if (!IsPlainFloat(info.dtype())) {
      return Fail(Error(ErrorCode::kUnsupported, "the source already holds quantized weights")
                      .Of(info.name())
                      .Found(info.Describe())
                      .Next("cast it to bf16 first, or leave it as it is"));
    }
    if (!IsFp8Linear(role)) return Decision{};
    if (!scales_) return Decision{.by = Action::kQuantized, .to = Fp8Target(128, 128, false)};
    const StoredWeight* original = FindWeight(*scales_, info.name());
    if (original == nullptr || original->parts.size() < 2) return Decision{};
    if (original->rows != weight.rows || original->cols != weight.cols) {
      return Fail(Error(ErrorCode::kWrongShape, "a weight differs in shape from --scales-from")
                      .Of(info.name())
                      .Expected(original->parts[0]->info.Describe())
                      .Found(info.Describe()));
    }
    if (original->parts[1]->info.dtype() != Dtype::kF32) {
      return Fail(Error(ErrorCode::kUnsupported, "--scales-from takes F32 scales")
                      .Of(original->parts[1]->info.name())
                      .Found(original->parts[1]->info.Describe()));
    }
    return Decision{.by = Action::kQuantized,
                    .to = Fp8Target(scales_->quant.block_rows, scales_->quant.block_cols, true),
                    .scales = original};
  }

  const Scheme* Fp8Target(uint32_t block_rows, uint32_t block_cols, bool scales_given) {
    if (fp8_target_ == nullptr) {
      fp8_target_ = MakeFp8BlockScheme({.block_rows = block_rows,
                                        .block_cols = block_cols,
                                        .scale_format = request_.scale_format,
                                        .scales_given = scales_given});
      plan_.schemes.push_back(fp8_target_);
    }
    return fp8_target_.get();
  }

  static const StoredWeight* FindWeight(const Source& source, std::string_view name) {
    const auto& weights = source.storage->weights();
    const auto it = std::ranges::lower_bound(weights, name, {}, [](const StoredWeight& w) {
      return std::string_view(w.parts[0]->info.name());
    });
    if (it == weights.end() || it->parts[0]->info.name() != name) return nullptr;
    return &*it;
  }

  Result<void> Add(const StoredWeight& weight) {
    TESSERA_ASSIGN(const Decision decision, Decide(weight));
    for (size_t part = 0; part < weight.parts.size(); ++part) {
      Action action = decision.by;
      if (part > 0 && decision.to != nullptr) action = Action::kFolded;
      plan_.source_actions[source_.checkpoint->IndexOf(*weight.parts[part])] = action;
    }
    if (decision.by == Action::kDropped) {
      CountDropped(decision.rule, weight.parts.size());
      return {};
    }
    const uint64_t unit = next_unit_++;
    if (decision.to != nullptr) return AddTranscode(weight, decision, unit);
    for (const TensorExtent* part : weight.parts) AddCopy(*part, unit);
    return {};
  }

  void CountDropped(std::string_view rule, uint64_t tensors) {
    const auto it = std::ranges::find(plan_.rules, rule, &DropRule::rule);
    if (it != plan_.rules.end()) {
      it->tensors += tensors;
    } else {
      plan_.rules.push_back({std::string(rule), tensors});
    }
  }

  SourceRef Ref(const TensorExtent& extent) const {
    return {.checkpoint = 0, .tensor = source_.checkpoint->IndexOf(extent)};
  }

  void AddCopy(const TensorExtent& extent, uint64_t unit) {
    const TensorInfo& info = extent.info;
    Step step;
    // Matrices are copied by whole rows, so that slices can be cut; anything else byte by byte.
    const uint64_t rows = info.shape().size() < 2 ? 0 : info.shape()[0];
    const bool by_rows =
        rows != 0 && info.bytes() % rows == 0 && info.bytes() / rows <= kTileBytes / 8;
    step.rows = by_rows ? rows : info.bytes();
    step.cols = 1;
    step.row_bytes = by_rows ? info.bytes() / rows : 1;
    step.sources = {Ref(extent)};
    Append(std::move(step),
           {UnplacedTensor{info, Action::kCopied, extent.shard, extent.offset, unit}});
  }

  Result<void> AddTranscode(const StoredWeight& weight, const Decision& decision, uint64_t unit) {
    const TensorExtent& main = *weight.parts[0];
    Step step;
    step.from = weight.scheme;
    step.to = decision.to;
    step.rows = weight.rows;
    step.cols = weight.cols;
    for (const TensorExtent* part : weight.parts) step.sources.push_back(Ref(*part));
    if (decision.scales != nullptr) {
      step.given = {
          {1,
           {.checkpoint = 1, .tensor = scales_->checkpoint->IndexOf(*decision.scales->parts[1])}}};
    }
    std::vector<UnplacedTensor> outputs;
    for (const PartSpec& part : decision.to->Parts(weight.rows, weight.cols)) {
      std::string name = main.info.name();
      if (name.ends_with(kWeightSuffix)) {
        name = name.substr(0, name.size() - kWeightSuffix.size()) + part.suffix;
      }
      // A vector stays a vector: schemes see it as a matrix of one column.
      const bool same_shape = part.suffix == kWeightSuffix;
      TESSERA_ASSIGN(TensorInfo info,
                     TensorInfo::Make(std::move(name), part.dtype,
                                      same_shape ? main.info.shape() : part.shape));
      outputs.push_back({std::move(info), decision.by, main.shard, main.offset, unit});
    }
    Append(std::move(step), std::move(outputs));
    return {};
  }

  void Append(Step step, std::vector<UnplacedTensor> outputs) {
    CutTiles(step);
    for (uint32_t part = 0; part < outputs.size(); ++part) {
      // `tensor` is the unplaced number until Place().
      step.destinations.push_back({.tensor = static_cast<uint32_t>(unplaced_.size()),
                                   .part = part,
                                   .rows = {0, step.rows},
                                   .first_digest = 0});
      unplaced_.push_back(std::move(outputs[part]));
    }
    plan_.steps.push_back(std::move(step));
  }

  static void CutTiles(Step& step) {
    const uint64_t quantum =
        step.is_copy() ? 1 : std::lcm(step.from->row_quantum(), step.to->row_quantum());
    const TileShape probe = ShapeOfTile(step, {0, std::min(step.rows, quantum)});
    uint64_t bytes = 0;
    for (const ByteRange& range : probe.reads) bytes += range.size();
    for (const ByteRange& range : probe.writes) bytes += range.size();
    step.tile_rows = std::max<uint64_t>(1, kTileBytes / std::max<uint64_t>(1, bytes)) * quantum;
  }

  Result<void> Place() {
    TESSERA_ASSIGN(OutputLayout layout, LayOut(unplaced_, source_.checkpoint->shards(),
                                               request_.shard_size, SafetensorsContainer()));
    plan_.files = std::move(layout.files);
    plan_.tensors = std::move(layout.tensors);
    for (Step& step : plan_.steps) {
      for (Destination& d : step.destinations) d.tensor = layout.placed[d.tensor];
    }
    return {};
  }

  void Count() {
    for (Step& step : plan_.steps) {
      step.first_tile = plan_.tiles;
      plan_.tiles += step.tiles();
      for (Destination& d : step.destinations) {
        d.first_digest = plan_.digests;
        plan_.digests += step.tiles();
      }
    }
    for (const Action action : plan_.source_actions) ++plan_.ledger[action];
    for (const PlanTensor& tensor : plan_.tensors) plan_.payload_bytes += tensor.info.bytes();
    for (const PlanFile& file : plan_.files) plan_.file_bytes += file.bytes;
    plan_.index_name = kIndexName;
    plan_.saturate = request_.saturate;
    DescribeRequest();
    EditConfigText();
  }

  void DescribeRequest() {
    auto& request = plan_.request;
    request.emplace_back("mtp", Name(request_.mtp));
    if (request_.saturate) request.emplace_back("saturate", "true");
    if (request_.to == CastTo::kFp8) {
      request.emplace_back("scale_format",
                           request_.scale_format == ScaleFormat::kUe8m0 ? "ue8m0" : "f32");
    }
    if (scales_) {
      request.emplace_back("scales_from", ToHex(scales_->checkpoint->fingerprint()));
    }
    if (request_.sha256) request.emplace_back("sha256", "true");
    if (request_.shard_size != 0) {
      request.emplace_back("shard_size", std::to_string(request_.shard_size));
    }
    request.emplace_back("to", Name(request_.to));
    std::ranges::sort(request);
  }

  void EditConfigText() {
    ConfigEdits edits;
    edits.set_quantization = request_.to != CastTo::kStored;
    const bool cast = plan_.ledger[Action::kCast] + plan_.ledger[Action::kDequantized] > 0;
    if (cast) edits.dtype = ConfigDtype(request_.to);
    edits.without_mtp = request_.mtp == MtpMode::kDrop;
    if (request_.to == CastTo::kFp8) {
      edits.quantization = scales_ ? scales_->config.at("quantization_config") : Fp8Config();
    }
    plan_.config = RenderJson(EditConfig(std::move(source_.config), edits));
  }

  Json Fp8Config() const {
    QuantArgs args;
    args.method = QuantMethod::kFp8Block;
    args.ue8m0 = request_.scale_format == ScaleFormat::kUe8m0;
    return args.ToConfig();
  }

  const Request& request_;
  Plan plan_;
  Source source_;
  std::optional<Source> scales_;
  std::optional<ModelSpec> spec_;
  std::shared_ptr<const Scheme> fp8_target_;
  std::vector<UnplacedTensor> unplaced_;
  uint64_t next_unit_ = 0;
};

}  // namespace

std::string_view Name(CastTo to) {
  switch (to) {
    case CastTo::kStored:
      return "stored";
    case CastTo::kBf16:
      return "bf16";
    case CastTo::kF16:
      return "f16";
    case CastTo::kF32:
      return "f32";
    case CastTo::kFp8:
      return "fp8";
  }
  return "stored";
}

std::string_view Name(MtpMode mode) {
  switch (mode) {
    case MtpMode::kKeep:
      return "keep";
    case MtpMode::kDrop:
      return "drop";
    case MtpMode::kOnly:
      return "only";
  }
  return "keep";
}

Result<Plan> MakePlan(const Request& request) { return Planner(request).Run(); }

}  // namespace tessera
