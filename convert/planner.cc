#include "convert/planner.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "convert/config_edit.h"
#include "convert/decision.h"
#include "convert/gguf_planner.h"
#include "convert/ledger.h"
#include "convert/mtp_duplicates.h"
#include "convert/mtp_join.h"
#include "convert/mtp_split.h"
#include "convert/output_layout.h"
#include "convert/quantized_config.h"
#include "convert/rank_layout.h"
#include "convert/reblock.h"
#include "formats/demo_config.h"
#include "formats/json.h"
#include "formats/rank_cut.h"
#include "formats/shard_name.h"
#include "quant/source.h"

namespace tessera {
namespace {

// A row of a matrix longer than this is not worth cutting tiles by.
constexpr uint64_t kMaxCopiedRow = kTileBytes / 8;

// The one block size of DeepSeek's demo, whose config has no field for another.
constexpr uint32_t kDemoBlock = 128;

// Of a checkpoint put together from ranks, as large releases are cut.
constexpr uint64_t kJoinedShardSize = 5'000'000'000;

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
  Planner(const Request& request, const StopCheck& check) : request_(request), check_(check) {}

  Result<Plan> Run() {
    TESSERA_TRY(OpenSources());
    TESSERA_TRY(DecideAll());
    if (request_.quantize) TESSERA_TRY(CheckEngine(*request_.quantize));
    if (ranked()) TESSERA_TRY(CheckRanks());
    for (uint32_t input = 0; input < plan_.inputs; ++input) {
      fates_.emplace_back(plan_.sources[input]->tensors().size());
    }
    for (const Decision& decision : decisions_) TESSERA_TRY(Add(decision));
    TESSERA_TRY(Place());
    DescribeRequest();
    plan_.folders.emplace_back();
    ChooseSideFiles();
    if (request_.split) {
      TESSERA_ASSIGN(PlanFolder module, ModuleFolder(source_, request_.split_for));
      plan_.folders.push_back(std::move(module));
    }
    Compress();
    Count();
    TESSERA_TRY(EditConfigText());
    plan_.hash = HashPlan(plan_);
    return std::move(plan_);
  }

 private:
  bool ranked() const { return request_.mp != 0; }

  Result<void> OpenSources() {
    CheckpointOptions options;
    options.allow_no_index = request_.no_index;
    options.config = request_.config;
    TESSERA_ASSIGN(source_, OpenSource(request_.in, options));
    options.config.reset();
    plan_.sources = {source_.checkpoint};
    plan_.storage = {source_.storage};
    shards_.assign(source_.checkpoint->shards().begin(), source_.checkpoint->shards().end());
    for (Shard& shard : shards_) shard.name = std::string(Uncompressed(shard.name));
    if (request_.module) TESSERA_TRY(Join(options));
    if (request_.scales_from) {
      TESSERA_ASSIGN(scales_, OpenSource(*request_.scales_from, options));
      plan_.sources.push_back(scales_->checkpoint);
      plan_.storage.push_back(scales_->storage);
    }
    return {};
  }

  // From here on the source is the whole model, of two checkpoints.
  Result<void> Join(const CheckpointOptions& options) {
    TESSERA_ASSIGN(const Source module, OpenModule(*request_.module, source_, options));
    plan_.sources.push_back(module.checkpoint);
    plan_.storage.push_back(module.storage);
    plan_.inputs = 2;
    first_shard_.push_back(static_cast<uint32_t>(shards_.size()));
    shards_ = JoinShards(shards_, module.checkpoint->shards());
    source_.spec = module.spec;
    source_.config = module.config;
    source_.coverage = Coverage::kWhole;
    return {};
  }

  // Without --shard-size shards are as in the source; ranks have none that could be kept.
  uint64_t ShardSize() const {
    const bool joins = source_.checkpoint->ranks() != 0 && !ranked();
    return request_.shard_size == 0 && joins ? kJoinedShardSize : request_.shard_size;
  }

  // Reading follows the files from front to back, whatever the order of names.
  Result<void> DecideAll() {
    TESSERA_ASSIGN(Decider decider,
                   Decider::Make(request_, source_, scales_ ? &*scales_ : nullptr));
    for (uint32_t input = 0; input < plan_.inputs; ++input) {
      for (const StoredWeight& weight : plan_.storage[input]->weights()) {
        TESSERA_ASSIGN(Decision decision, decider.Decide(weight));
        decision.input = input;
        decisions_.push_back(decision);
      }
    }
    if (request_.dedup_mtp) {
      TESSERA_ASSIGN(plan_.mtp_copies, DropMtpDuplicates(plan_.sources, decisions_, check_));
    }
    plan_.schemes = decider.targets();
    if (decider.calibration()) calibration_ = ToHex(decider.calibration()->digest());
    const std::vector<std::pair<TensorRole, size_t>> released = ReleasedOrder();
    std::ranges::sort(decisions_, {}, [&](const Decision& d) {
      const TensorExtent& main = *d.weight->parts[0];
      const auto place =
          std::ranges::lower_bound(released, d.role, {}, &std::pair<TensorRole, size_t>::first);
      const bool placed = place != released.end() && place->first == d.role;
      return std::tuple(placed ? place->second : released.size(),
                        first_shard_[d.input] + main.shard, main.offset,
                        std::string_view(d.weight->name));
    });
    return {};
  }

  // Ranks put together come layer by layer, which their own order is not: by name, layer 10 stands
  // behind layer 1. By role; empty where the source's order is kept.
  std::vector<std::pair<TensorRole, size_t>> ReleasedOrder() const {
    std::vector<std::pair<TensorRole, size_t>> order;
    if (source_.checkpoint->ranks() == 0 || ranked()) return order;
    source_.spec->ForEach([&](const TensorRole& role) { order.emplace_back(role, order.size()); });
    std::ranges::sort(order);
    return order;
  }

  // Every weight is judged before a byte is written.
  Result<void> CheckRanks() {
    for (uint32_t rank = 0; rank < request_.mp; ++rank) ranks_.push_back(rank);
    if (!request_.ranks.empty()) ranks_ = request_.ranks;
    if (request_.reblock) {
      TESSERA_ASSIGN(plan_.schemes, Reblock(decisions_, source_.quant, request_.mp));
    }
    const QuantArgs& stored = source_.quant;
    if (stored.method == QuantMethod::kFp8Block && request_.to == CastTo::kStored &&
        (stored.block_rows != kDemoBlock || stored.block_cols != kDemoBlock)) {
      return Fail(Error(ErrorCode::kUnsupported, "DeepSeek's demo knows FP8 in blocks of 128 only")
                      .In(source_.checkpoint->config_path().string())
                      .Found("weight_block_size [" + std::to_string(stored.block_rows) + ", " +
                             std::to_string(stored.block_cols) + "]")
                      .Next("cast while cutting: --to bf16, or from plain weights --to fp8"));
    }
    RankDegrees degrees(*source_.spec);
    for (const Decision& d : decisions_) {
      if (d.by == Action::kDropped) continue;
      const TensorInfo& main = d.weight->parts[0]->info;
      if (main.shape().size() != 2) continue;
      std::optional<RankDegrees::Blocks> blocks;
      const bool stays_fp8 = d.to == nullptr && d.weight->parts.size() > 1;
      if (!request_.reblock && (stays_fp8 || d.by == Action::kQuantized)) {
        const QuantArgs& args = scales_ ? scales_->quant : source_.quant;
        blocks = {args.block_rows, args.block_cols};
      }
      degrees.Add(d.weight->name, d.role, d.weight->rows, d.weight->cols, blocks);
    }
    return degrees.Check(request_.mp);
  }

  Result<void> Add(const Decision& decision) {
    const StoredWeight& weight = *decision.weight;
    input_ = decision.input;
    const bool elsewhere = BelongsToOtherRanks(decision.role);
    const bool dropped = decision.by == Action::kDropped || elsewhere;
    for (size_t part = 0; part < weight.parts.size(); ++part) {
      Fate fate{.action = dropped ? Action::kDropped : decision.by,
                .rule = elsewhere ? "other-ranks" : decision.rule,
                .folder = FolderOf(decision.role)};
      if (part > 0 && decision.to != nullptr && !dropped) fate.action = Action::kFolded;
      const SourceRef ref = Ref(*weight.parts[part]);
      fates_[ref.checkpoint][ref.tensor] = fate;
    }
    if (dropped) return {};
    ++unit_;
    if (decision.to != nullptr) return AddTranscode(decision);
    for (const TensorExtent* part : weight.parts) TESSERA_TRY(AddCopy(*part));
    return {};
  }

  // An expert of which no written rank has a share (--rank).
  bool BelongsToOtherRanks(const TensorRole& role) const {
    return ranked() && CutOf(role) == Cut::kOwned &&
           std::ranges::find(ranks_, Owner(role)) == ranks_.end();
  }

  uint32_t Owner(const TensorRole& role) const {
    return OwnerOf(role, source_.spec->n_routed_experts, request_.mp);
  }

  uint32_t FolderOf(const TensorRole& role) const {
    return request_.split && source_.spec->IsMtp(role) ? 1 : 0;
  }

  SourceRef Ref(const TensorExtent& extent) const {
    return {.checkpoint = input_, .tensor = plan_.sources[input_]->IndexOf(extent)};
  }

  Result<void> AddCopy(const TensorExtent& extent) {
    const TensorInfo& info = extent.info;
    Step step;
    // Matrices are copied by whole rows, so that slices can be cut; anything else byte by byte.
    const uint64_t rows = info.shape().size() < 2 ? 0 : info.shape()[0];
    const bool by_rows =
        rows != 0 && info.bytes() % rows == 0 && (ranked() || info.bytes() / rows <= kMaxCopiedRow);
    step.rows = by_rows ? rows : info.bytes();
    step.cols = 1;
    step.row_bytes = by_rows ? info.bytes() / rows : 1;
    step.sources = {Ref(extent)};
    const std::optional<TensorRole> role = source_.spec->Parse(info.name());
    TESSERA_CHECK(role.has_value());
    SetBands(step, *role);
    TESSERA_TRY(
        AddDestinations(step, {0, *role, info, step.row_bytes, false}, Action::kCopied, extent));
    plan_.steps.push_back(std::move(step));
    return {};
  }

  Result<void> AddTranscode(const Decision& decision) {
    const StoredWeight& weight = *decision.weight;
    const TensorExtent& main = *weight.parts[0];
    Step step;
    step.from = weight.scheme;
    step.to = decision.to;
    step.repacks = decision.repacks;
    step.rows = weight.rows;
    step.cols = weight.cols;
    for (const TensorExtent* part : weight.parts) step.sources.push_back(Ref(*part));
    if (decision.scales != nullptr) {
      step.given = {
          {1,
           {.checkpoint = 1, .tensor = scales_->checkpoint->IndexOf(*decision.scales->parts[1])}}};
    }
    SetBands(step, decision.role);
    // What is plain on both sides keeps its shape: schemes see a vector as a matrix of one column.
    const bool plain = IsPlainFloat(main.info.dtype()) && weight.parts.size() == 1;
    const std::vector<PartSpec> parts = decision.to->Parts(weight.rows, weight.cols);
    for (uint32_t part = 0; part < parts.size(); ++part) {
      const PartSpec& spec = parts[part];
      const Shape& shape = plain && parts.size() == 1 ? main.info.shape() : spec.shape;
      TESSERA_ASSIGN(TensorInfo whole,
                     TensorInfo::Make(PartName(decision.role, spec.suffix), spec.dtype, shape));
      const uint64_t part_rows = spec.constant ? 1 : spec.shape[0];
      const uint64_t row_bytes = part_rows == 0 ? 1 : whole.bytes() / part_rows;
      TensorRole role = decision.role;
      if (part > 0) role.part = Part::kScaleInv;
      TESSERA_TRY(AddDestinations(step, {part, role, std::move(whole), row_bytes, spec.constant},
                                  decision.by, main));
    }
    plan_.steps.push_back(std::move(step));
    return {};
  }

  // "X.weight" with the suffix of one of the tensors it is stored as.
  std::string PartName(const TensorRole& weight, std::string_view suffix) const {
    if (suffix == ".input_scale") {
      TensorRole role = weight;
      role.part = Part::kInputScale;
      return source_.spec->NameOf(role);
    }
    std::string name = source_.spec->NameOf(weight);
    if (suffix != ".weight") name.replace(name.rfind('.'), std::string::npos, suffix);
    return name;
  }

  // Where tiles may be cut, and how large they are.
  void SetBands(Step& step, const TensorRole& role) const {
    if (ranked() && CutOf(role) == Cut::kRows) {
      for (const uint32_t rank : ranks_) {
        const RowRange rows = SliceOf(step, role, step.rows, rank);
        if (step.bands.empty() || step.bands.back() != rows) step.bands.push_back(rows);
      }
    } else {
      step.bands = {{0, step.rows}};
    }
    step.tile_rows = TileRowsOf(step);
  }

  // Which of `size` rows or columns a rank gets. Copied scales follow the blocks of their weight,
  // of which several ranks may share one.
  RowRange SliceOf(const Step& step, const TensorRole& role, uint64_t size, uint32_t rank) const {
    if (step.is_copy() && role.part == Part::kScaleInv) {
      TensorRole weight = role;
      weight.part = Part::kWeight;
      const Shape shape = *source_.spec->ShapeOf(weight);
      return CutOf(role) == Cut::kRows
                 ? BlocksOfSlice(shape[0], source_.quant.block_rows, rank, request_.mp)
                 : BlocksOfSlice(shape[1], source_.quant.block_cols, rank, request_.mp);
    }
    const uint64_t slice = size / request_.mp;
    return {rank * slice, (rank + 1) * slice};
  }

  // One tensor that a step fills, before it is cut for ranks.
  struct OutputPart {
    uint32_t part;  // of step.to
    TensorRole role;
    TensorInfo whole;
    uint64_t row_bytes;
    bool constant;
  };

  // Adds the tensors that a part of the step becomes: one, or one for each rank that has a share.
  Result<void> AddDestinations(Step& step, const OutputPart& output, Action by,
                               const TensorExtent& home) {
    const auto& [part, role, whole, row_bytes, constant] = output;
    Destination d{.tensor = 0,
                  .part = part,
                  .rows = {0, constant ? std::min(step.tile_rows, step.rows) : step.rows},
                  .columns = {0, row_bytes},
                  .row_bytes = row_bytes,
                  .first_tile = 0,
                  .tiles = 0,
                  .first_digest = 0,
                  .constant = constant};
    if (!ranked()) {
      const uint32_t shard = first_shard_[input_] + home.shard;
      UnplacedTensor tensor{whole, by, shard, home.offset, unit_, FolderOf(role)};
      if (tensor.folder == 1) {
        const std::string name = NameInModule(*source_.spec, role, request_.split_for);
        TESSERA_ASSIGN(tensor.info, TensorInfo::Make(name, whole.dtype(), whole.shape()));
      }
      AddDestination(step, d, std::move(tensor));
      return {};
    }
    const Cut cut = CutOf(role);
    for (uint32_t i = 0; i < ranks_.size(); ++i) {
      const uint32_t rank = ranks_[i];
      Shape shape = whole.shape();
      if (cut == Cut::kOwned && Owner(role) != rank) continue;
      if (cut == Cut::kRows) {
        d.rows = SliceOf(step, role, step.rows, rank);
        shape[0] = step.is_copy() && shape[0] != 0 ? d.rows.size() : shape[0] / request_.mp;
      } else if (cut == Cut::kColumns) {
        const RowRange columns = SliceOf(step, role, shape[1], rank);
        const uint64_t bytes = shape[1] == 0 ? 0 : row_bytes / shape[1];
        d.columns = {columns.begin * bytes, columns.end * bytes};
        shape[1] = columns.size();
      }
      TESSERA_ASSIGN(TensorInfo info,
                     TensorInfo::Make(source_.spec->NameOf(role, NameStyle::kDeepSeek),
                                      whole.dtype(), std::move(shape)));
      AddDestination(step, d, {std::move(info), by, i, 0, unit_, 0});
    }
    return {};
  }

  void AddDestination(Step& step, Destination d, UnplacedTensor tensor) {
    d.tensor = static_cast<uint32_t>(unplaced_.size());  // its unplaced number, until Place()
    step.destinations.push_back(d);
    unplaced_.push_back(std::move(tensor));
  }

  Result<void> Place() {
    TESSERA_ASSIGN(OutputLayout layout,
                   ranked() ? LayOutRanks(unplaced_, ranks_, request_.mp)
                   : request_.split
                       ? LayOutSplit(unplaced_, shards_, ShardSize(), request_.split_for)
                       : LayOut(unplaced_, shards_, ShardSize(), SafetensorsContainer()));
    plan_.files = std::move(layout.files);
    plan_.tensors = std::move(layout.tensors);
    for (Step& step : plan_.steps) {
      for (Destination& d : step.destinations) d.tensor = layout.placed[d.tensor];
    }
    return {};
  }

  void Compress() {
    plan_.compress = request_.compress;
    if (!plan_.compress) return;
    for (PlanFile& file : plan_.files) file.name += kZstdEnding;
  }

  void Count() {
    Tally(plan_);
    for (const std::vector<Fate>& fates : fates_) CountFates(fates, plan_);
    plan_.saturate = request_.saturate;
    if (request_.quantize)
      plan_.quality_limits = LimitsOf(*request_.quantize->scheme, request_.quantize->search);
  }

  void DescribeRequest() {
    auto& request = plan_.request;
    request.emplace_back("mtp", request_.split ? "split" : Name(request_.mtp));
    if (request_.split) request.emplace_back("for", Name(request_.split_for));
    request.emplace_back("to", Name(request_.to));
    if (request_.saturate) request.emplace_back("saturate", "true");
    if (request_.to == CastTo::kFp8) {
      request.emplace_back("scale_format",
                           request_.scale_format == ScaleFormat::kUe8m0 ? "ue8m0" : "f32");
    }
    if (scales_) {
      request.emplace_back("scales_from", ToHex(scales_->checkpoint->fingerprint()));
    }
    if (request_.quantize) DescribeQuantize(*request_.quantize);
    if (request_.module) request.emplace_back("module", ToHex(plan_.sources[1]->fingerprint()));
    std::string copies;
    for (const MtpCopy& copy : plan_.mtp_copies) {
      copies += (copies.empty() ? "" : " ") + copy.name + (copy.equal ? "=dropped" : "=kept");
    }
    if (!copies.empty()) request.emplace_back("dedup_mtp", copies);
    if (request_.sha256) request.emplace_back("sha256", "true");
    if (request_.compress) {
      request.emplace_back("compress", ToString(request_.compress));
    }
    if (ShardSize() != 0) {
      request.emplace_back("shard_size", std::to_string(ShardSize()));
    }
    if (ranked()) {
      request.emplace_back("mp", std::to_string(request_.mp));
      if (request_.reblock) request.emplace_back("reblock", "true");
      std::string ranks;
      for (const uint32_t rank : request_.ranks) {
        ranks += (ranks.empty() ? "" : ",") + std::to_string(rank);
      }
      if (!ranks.empty()) request.emplace_back("ranks", ranks);
    }
    std::ranges::sort(request);
  }

  // What was decided must be what the engine loads; and the result names the engines that do.
  Result<void> CheckEngine(const QuantizeRequest& quantize) {
    TESSERA_ASSIGN(scheme_, SchemeOf(*quantize.scheme, decisions_));
    if (!quantize.ignore.empty()) TESSERA_TRY(CheckIgnored(*source_.spec, decisions_));
    const SchemeChoice choice = ChoiceOf(scheme_, source_, decisions_, request_);
    for (const std::string_view engine : EnginesThatLoad(*source_.spec, choice)) {
      plan_.engines.emplace_back(engine);
    }
    if (quantize.engine == nullptr) return {};
    TESSERA_TRY(quantize.engine->Accepts(*source_.spec, choice));
    plan_.launch_flags = quantize.engine->LaunchFlags(*source_.spec, choice);
    return {};
  }

  void DescribeQuantize(const QuantizeRequest& quantize) {
    auto& request = plan_.request;
    request.emplace_back("scheme", quantize.scheme->name);
    if (quantize.engine != nullptr) request.emplace_back("for", quantize.engine->name);
    request.emplace_back("reach", Name(quantize.reach));
    request.emplace_back("search", Name(quantize.search));
    std::string ignore;
    for (const std::string& expression : quantize.ignore) ignore += QuoteJson(expression);
    if (!ignore.empty()) request.emplace_back("ignore", ignore);
    if (quantize.input_scale) {
      char text[32];
      const auto end = std::to_chars(text, text + sizeof text, *quantize.input_scale).ptr;
      request.emplace_back("input_scale", std::string(text, end));
    }
    if (!calibration_.empty()) request.emplace_back("calibration", calibration_);
  }

  // The demo reads its own config and a tokenizer; a Hugging Face folder keeps everything.
  void ChooseSideFiles() {
    PlanFolder& folder = plan_.folders[0];
    for (const std::string& name : source_.checkpoint->side_files()) {
      if (!request_.keeps_storage() && DescribesQuantization(name)) continue;
      if (!ranked() || name.find("token") != std::string::npos) folder.side_files.push_back(name);
    }
    if (ranked()) return;
    folder.index_name = kIndexName;
    const std::string_view stem = ShardStem(scheme_.name);
    if (stem == kModelStem) return;
    folder.index_name = std::string(stem) + ".safetensors.index.json";
    for (size_t i = 0; i < plan_.files.size(); ++i) {
      plan_.files[i].name = ToString(
          ShardName{.prefix = std::string(stem), .number = i + 1, .count = plan_.files.size()});
    }
  }

  Result<void> EditConfigText() {
    if (ranked()) {
      const bool quantized = request_.quantize.has_value();
      const bool fp8 =
          request_.to == CastTo::kFp8 || quantized ||
          (request_.to == CastTo::kStored && source_.quant.method != QuantMethod::kNone);
      const bool ue8m0 = quantized ? request_.quantize->scheme->engine_name == "fp8-block-ue8m0"
                         : request_.to == CastTo::kFp8
                             ? request_.scale_format == ScaleFormat::kUe8m0
                             : source_.quant.ue8m0;
      TESSERA_ASSIGN(const Json demo, DemoConfig(source_.config, *source_.spec, fp8, ue8m0));
      plan_.folders[0].config = RenderJson(demo);
      return {};
    }
    ConfigEdits edits;
    edits.set_quantization = request_.to != CastTo::kStored;
    const bool cast = plan_.ledger[Action::kCast] + plan_.ledger[Action::kDequantized] > 0;
    if (cast) edits.dtype = ConfigDtype(request_.to);
    edits.without_mtp = request_.mtp == MtpMode::kDrop || request_.split;
    if (request_.to == CastTo::kFp8) {
      edits.quantization = scales_ ? scales_->config.at("quantization_config") : Fp8Config();
    }
    if (request_.quantize) {
      TESSERA_TRY(
          DescribeQuantized(scheme_, source_, decisions_, request_.quantize->engine, edits));
      plan_.folders[0].texts = QuantizedTexts(scheme_, source_, decisions_, plan_.tensors);
    }
    plan_.folders[0].config = RenderJson(EditConfig(std::move(source_.config), edits));
    return {};
  }

  Json Fp8Config() const {
    QuantArgs args;
    args.method = QuantMethod::kFp8Block;
    args.ue8m0 = request_.scale_format == ScaleFormat::kUe8m0;
    return args.ToConfig();
  }

  const Request& request_;
  const StopCheck& check_;
  Plan plan_;
  Source source_;
  std::optional<Source> scales_;
  std::vector<Decision> decisions_;
  std::string calibration_;                  // digest
  SchemeInUse scheme_;                       // of a requantization
  std::vector<Shard> shards_;                // of all inputs
  std::vector<uint32_t> first_shard_ = {0};  // by input, where its shards begin
  uint32_t input_ = 0;                       // of the decision that is being added
  std::vector<std::vector<Fate>> fates_;     // by input, of its tensors
  std::vector<uint32_t> ranks_;              // that are written; empty unless ranked
  std::vector<UnplacedTensor> unplaced_;
  uint64_t unit_ = 0;
};

}  // namespace

Result<Plan> MakePlan(const Request& request, const StopCheck& check) {
  if (request.gguf) return MakeGgufPlan(request);
  return Planner(request, check).Run();
}

}  // namespace tessera
