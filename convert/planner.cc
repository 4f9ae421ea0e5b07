#include "convert/planner.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "convert/config_edit.h"
#include "convert/decision.h"
#include "convert/output_layout.h"
#include "convert/rank_layout.h"
#include "formats/demo_config.h"
#include "formats/json.h"
#include "formats/rank_cut.h"
#include "quant/source.h"

namespace tessera {
namespace {

constexpr std::string_view kIndexName = "model.safetensors.index.json";

// A row of a matrix longer than this is not worth cutting tiles by.
constexpr uint64_t kMaxCopiedRow = kTileBytes / 8;

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
  explicit Planner(const Request& request) : request_(request) {}

  Result<Plan> Run() {
    TESSERA_TRY(OpenSources());
    TESSERA_TRY(DecideAll());
    if (ranked()) TESSERA_TRY(CheckRanks());
    plan_.source_actions.assign(source_.checkpoint->tensors().size(), Action::kCopied);
    for (const Decision& decision : decisions_) TESSERA_TRY(Add(decision));
    TESSERA_TRY(Place());
    Count();
    DescribeRequest();
    ChooseSideFiles();
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
    if (request_.scales_from) {
      TESSERA_ASSIGN(scales_, OpenSource(*request_.scales_from, options));
      plan_.sources.push_back(scales_->checkpoint);
      plan_.storage.push_back(scales_->storage);
    }
    return {};
  }

  // Without --shard-size shards are as in the source; ranks have none that could be kept.
  uint64_t ShardSize() const {
    const bool joins = source_.checkpoint->ranks() != 0 && !ranked();
    return request_.shard_size == 0 && joins ? kJoinedShardSize : request_.shard_size;
  }

  // Reading follows the files from front to back, whatever the order of names.
  Result<void> DecideAll() {
    TESSERA_ASSIGN(const Decider decider,
                   Decider::Make(request_, source_, scales_ ? &*scales_ : nullptr));
    if (decider.target()) plan_.schemes.push_back(decider.target());
    for (const StoredWeight& weight : source_.storage->weights()) {
      TESSERA_ASSIGN(Decision decision, decider.Decide(weight));
      decisions_.push_back(decision);
    }
    const std::vector<std::pair<TensorRole, size_t>> released = ReleasedOrder();
    std::ranges::sort(decisions_, {}, [&](const Decision& d) {
      const TensorExtent& main = *d.weight->parts[0];
      const auto place =
          std::ranges::lower_bound(released, d.role, {}, &std::pair<TensorRole, size_t>::first);
      const bool placed = place != released.end() && place->first == d.role;
      return std::tuple(placed ? place->second : released.size(), main.shard, main.offset,
                        std::string_view(main.info.name()));
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
    RankDegrees degrees(*source_.spec);
    for (const Decision& d : decisions_) {
      if (d.by == Action::kDropped) continue;
      const TensorInfo& main = d.weight->parts[0]->info;
      if (main.shape().size() != 2) continue;
      std::optional<RankDegrees::Blocks> blocks;
      const bool stays_fp8 = d.to == nullptr && d.weight->parts.size() > 1;
      if (stays_fp8 || d.by == Action::kQuantized) {
        const QuantArgs& args = scales_ ? scales_->quant : source_.quant;
        blocks = {args.block_rows, args.block_cols};
      }
      degrees.Add(main.name(), d.role, main.shape()[0], main.shape()[1], blocks);
    }
    return degrees.Check(request_.mp);
  }

  Result<void> Add(const Decision& decision) {
    const StoredWeight& weight = *decision.weight;
    const bool elsewhere = BelongsToOtherRanks(decision.role);
    const bool dropped = decision.by == Action::kDropped || elsewhere;
    for (size_t part = 0; part < weight.parts.size(); ++part) {
      Action action = dropped ? Action::kDropped : decision.by;
      if (part > 0 && decision.to != nullptr && !dropped) action = Action::kFolded;
      plan_.source_actions[source_.checkpoint->IndexOf(*weight.parts[part])] = action;
    }
    if (dropped) {
      CountDropped(elsewhere ? "other-ranks" : decision.rule, weight.parts.size());
      return {};
    }
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
    TESSERA_TRY(AddDestinations(step, 0, *role, info, step.row_bytes, Action::kCopied, extent));
    plan_.steps.push_back(std::move(step));
    return {};
  }

  Result<void> AddTranscode(const Decision& decision) {
    const StoredWeight& weight = *decision.weight;
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
    SetBands(step, decision.role);
    const std::vector<PartSpec> parts = decision.to->Parts(weight.rows, weight.cols);
    for (uint32_t part = 0; part < parts.size(); ++part) {
      TensorRole role = decision.role;
      if (part > 0) role.part = Part::kScaleInv;
      // A vector stays a vector: schemes see it as a matrix of one column.
      const Shape& shape = part == 0 ? main.info.shape() : parts[part].shape;
      TESSERA_ASSIGN(const TensorInfo whole,
                     TensorInfo::Make(source_.spec->NameOf(role), parts[part].dtype, shape));
      const uint64_t part_rows = parts[part].shape[0];
      const uint64_t row_bytes = part_rows == 0 ? 1 : whole.bytes() / part_rows;
      TESSERA_TRY(AddDestinations(step, part, role, whole, row_bytes, decision.by, main));
    }
    plan_.steps.push_back(std::move(step));
    return {};
  }

  // Where tiles may be cut, and how large they are.
  void SetBands(Step& step, const TensorRole& role) const {
    if (ranked() && CutOf(role) == Cut::kRows) {
      for (const uint32_t rank : ranks_) step.bands.push_back(RowsOf(step, rank));
    } else {
      step.bands = {{0, step.rows}};
    }
    const uint64_t quantum =
        step.is_copy() ? 1 : std::lcm(step.from->row_quantum(), step.to->row_quantum());
    const TileShape probe = ShapeOfTile(step, {0, std::min(step.rows, quantum)});
    uint64_t bytes = 0;
    for (const ByteRange& range : probe.reads) bytes += range.size();
    for (const ByteRange& range : probe.writes) bytes += range.size();
    step.tile_rows = std::max<uint64_t>(1, kTileBytes / std::max<uint64_t>(1, bytes)) * quantum;
  }

  RowRange RowsOf(const Step& step, uint32_t rank) const {
    const uint64_t rows = step.rows / request_.mp;
    return {rank * rows, (rank + 1) * rows};
  }

  // Adds the tensors that part `part` of the step becomes: one, or one for each rank that has a
  // share.
  Result<void> AddDestinations(Step& step, uint32_t part, const TensorRole& role,
                               const TensorInfo& whole, uint64_t row_bytes, Action by,
                               const TensorExtent& home) {
    Destination d{.tensor = 0,
                  .part = part,
                  .rows = {0, step.rows},
                  .columns = {0, row_bytes},
                  .row_bytes = row_bytes,
                  .first_tile = 0,
                  .tiles = 0,
                  .first_digest = 0};
    if (!ranked()) {
      AddDestination(step, d, {whole, by, home.shard, home.offset, unit_});
      return {};
    }
    const Cut cut = CutOf(role);
    for (uint32_t i = 0; i < ranks_.size(); ++i) {
      const uint32_t rank = ranks_[i];
      Shape shape = whole.shape();
      if (cut == Cut::kOwned && Owner(role) != rank) continue;
      if (cut == Cut::kRows) {
        shape[0] /= request_.mp;
        d.rows = RowsOf(step, rank);
      } else if (cut == Cut::kColumns) {
        shape[1] /= request_.mp;
        const uint64_t columns = row_bytes / request_.mp;
        d.columns = {rank * columns, (rank + 1) * columns};
      }
      TESSERA_ASSIGN(TensorInfo info,
                     TensorInfo::Make(source_.spec->NameOf(role, NameStyle::kDeepSeek),
                                      whole.dtype(), std::move(shape)));
      AddDestination(step, d, {std::move(info), by, i, 0, unit_});
    }
    return {};
  }

  void AddDestination(Step& step, Destination d, UnplacedTensor tensor) {
    d.tensor = static_cast<uint32_t>(unplaced_.size());  // its unplaced number, until Place()
    step.destinations.push_back(d);
    unplaced_.push_back(std::move(tensor));
  }

  Result<void> Place() {
    TESSERA_ASSIGN(OutputLayout layout, ranked() ? LayOutRanks(unplaced_, ranks_, request_.mp)
                                                 : LayOut(unplaced_, source_.checkpoint->shards(),
                                                          ShardSize(), SafetensorsContainer()));
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
        d.first_tile = step.TilesBefore(d.rows.begin);
        d.tiles = step.TilesBefore(d.rows.end) - d.first_tile;
        d.first_digest = plan_.digests;
        plan_.digests += d.tiles;
      }
    }
    for (const Action action : plan_.source_actions) ++plan_.ledger[action];
    for (const PlanTensor& tensor : plan_.tensors) plan_.payload_bytes += tensor.info.bytes();
    for (const PlanFile& file : plan_.files) plan_.file_bytes += file.bytes;
    plan_.saturate = request_.saturate;
  }

  void DescribeRequest() {
    auto& request = plan_.request;
    request.emplace_back("mtp", Name(request_.mtp));
    request.emplace_back("to", Name(request_.to));
    if (request_.saturate) request.emplace_back("saturate", "true");
    if (request_.to == CastTo::kFp8) {
      request.emplace_back("scale_format",
                           request_.scale_format == ScaleFormat::kUe8m0 ? "ue8m0" : "f32");
    }
    if (scales_) {
      request.emplace_back("scales_from", ToHex(scales_->checkpoint->fingerprint()));
    }
    if (request_.sha256) request.emplace_back("sha256", "true");
    if (ShardSize() != 0) {
      request.emplace_back("shard_size", std::to_string(ShardSize()));
    }
    if (ranked()) {
      request.emplace_back("mp", std::to_string(request_.mp));
      std::string ranks;
      for (const uint32_t rank : request_.ranks) {
        ranks += (ranks.empty() ? "" : ",") + std::to_string(rank);
      }
      if (!ranks.empty()) request.emplace_back("ranks", ranks);
    }
    std::ranges::sort(request);
  }

  // The demo reads its own config and a tokenizer; a Hugging Face folder keeps everything.
  void ChooseSideFiles() {
    for (const std::string& name : source_.checkpoint->side_files()) {
      if (!ranked() || name.find("token") != std::string::npos) plan_.side_files.push_back(name);
    }
    if (!ranked()) plan_.index_name = kIndexName;
  }

  Result<void> EditConfigText() {
    if (ranked()) {
      const bool fp8 = request_.to == CastTo::kFp8 || (request_.to == CastTo::kStored &&
                                                       source_.quant.method != QuantMethod::kNone);
      const bool ue8m0 = request_.to == CastTo::kFp8 ? request_.scale_format == ScaleFormat::kUe8m0
                                                     : source_.quant.ue8m0;
      TESSERA_ASSIGN(const Json demo, DemoConfig(source_.config, *source_.spec, fp8, ue8m0));
      plan_.config = RenderJson(demo);
      return {};
    }
    ConfigEdits edits;
    edits.set_quantization = request_.to != CastTo::kStored;
    const bool cast = plan_.ledger[Action::kCast] + plan_.ledger[Action::kDequantized] > 0;
    if (cast) edits.dtype = ConfigDtype(request_.to);
    edits.without_mtp = request_.mtp == MtpMode::kDrop;
    if (request_.to == CastTo::kFp8) {
      edits.quantization = scales_ ? scales_->config.at("quantization_config") : Fp8Config();
    }
    plan_.config = RenderJson(EditConfig(std::move(source_.config), edits));
    return {};
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
  std::vector<Decision> decisions_;
  std::vector<uint32_t> ranks_;  // that are written; empty unless ranked
  std::vector<UnplacedTensor> unplaced_;
  uint64_t unit_ = 0;
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
