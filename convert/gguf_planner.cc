#include "convert/gguf_planner.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "convert/gguf_config.h"
#include "convert/gguf_layout.h"
#include "convert/gguf_metadata.h"
#include "convert/gguf_types.h"
#include "convert/ledger.h"
#include "formats/gguf_names.h"
#include "formats/json.h"
#include "formats/tokenizer_gguf.h"
#include "quant/ggml_types.h"
#include "quant/imatrix.h"
#include "quant/scheme_ggml.h"
#include "quant/source.h"

namespace tessera {
namespace {

// A tensor of the file, made from one weight or from one of each expert.
struct Output {
  std::string name;
  GgufTensorRole role;
  Shape shape;
  Dtype dtype{};
  std::optional<Action> by = {};           // once a weight goes into it
  const Importance* importance = nullptr;  // null: its columns are all alike

  uint64_t matrices() const { return shape.size() > 2 ? shape[0] : 1; }
};

// A weight and what becomes of it.
struct Kept {
  const StoredWeight* weight;
  TensorRole role;
};

bool IsWeighted(Dtype dtype) {
  return std::ranges::any_of(AllGgmlTypes(), [&](const GgmlTypeInfo& info) {
    return info.type == dtype && info.weighted;
  });
}

class GgufPlanner {
 public:
  explicit GgufPlanner(const Request& request) : request_(request), gguf_(*request.gguf) {}

  Result<Plan> Run() {
    TESSERA_TRY(OpenSources());
    TESSERA_TRY(Collect());
    TESSERA_TRY(ChooseTypes());
    TESSERA_TRY(AddSteps());
    TESSERA_TRY(Place());
    Describe();
    plan_.hash = HashPlan(plan_);
    return std::move(plan_);
  }

 private:
  bool keeps_mtp() const {
    return request_.mtp == MtpMode::kKeep && source_.spec->num_nextn_predict_layers > 0;
  }

  Result<void> OpenSources() {
    CheckpointOptions options;
    options.allow_no_index = request_.no_index;
    options.config = request_.config;
    TESSERA_ASSIGN(source_, OpenSource(request_.in, options));
    plan_.sources = {source_.checkpoint};
    plan_.storage = {source_.storage};
    if (source_.coverage == Coverage::kMtpOnly || request_.mtp == MtpMode::kOnly) {
      return Fail(Error(ErrorCode::kUnsupported, "an MTP module alone is no model to llama.cpp")
                      .In(source_.checkpoint->dir().string())
                      .Next("join it with its model first: tessera join-mtp"));
    }
    TESSERA_ASSIGN(config_,
                   GgufConfig::Of(source_.config, *source_.spec,
                                  source_.checkpoint->config_path().string(), keeps_mtp()));
    if (!gguf_.imatrix) return {};
    TESSERA_ASSIGN(ImportanceMatrix matrix, ImportanceMatrix::Open(*gguf_.imatrix));
    plan_.importance = std::make_shared<const ImportanceMatrix>(std::move(matrix));
    return {};
  }

  // Empty: the weight is written.
  std::string_view DropRuleOf(const TensorRole& role) const {
    if (source_.spec->IsMtp(role) && !keeps_mtp()) return "mtp-drop";
    if (role.part == Part::kBuffer) return "stray-buffer";     // derived data
    if (role.part == Part::kInputScale) return "input-scale";  // of activations in FP8
    if (role.module == Module::kLmHead && source_.spec->tie_word_embeddings) return "tied-head";
    return {};
  }

  // Which tensors the file has, and what becomes of those of the source.
  Result<void> Collect() {
    fates_.resize(source_.checkpoint->tensors().size());
    std::map<std::string, Output> outputs;
    for (const StoredWeight& weight : source_.storage->weights()) {
      const std::optional<TensorRole> role = source_.spec->Parse(weight.name);
      TESSERA_CHECK(role.has_value());  // OpenSource has refused unknown tensors
      const std::string_view rule = DropRuleOf(*role);
      for (const TensorExtent* part : weight.parts) {
        fates_[source_.checkpoint->IndexOf(*part)] = {
            .action = rule.empty() ? Action::kFolded : Action::kDropped, .rule = rule};
      }
      if (!rule.empty()) continue;
      TESSERA_TRY(CheckDecodable(weight));
      kept_.push_back({&weight, *role});
      for (uint32_t part = 0; part < PartsOf(*role); ++part) {
        const std::optional<std::string> name = GgufNameOf(*role, part);
        TESSERA_CHECK(name.has_value());  // GgufConfig has refused what has no name
        outputs.try_emplace(*name, MakeOutput(*name, *role, part));
      }
    }
    for (auto& [name, output] : outputs) outputs_.push_back(std::move(output));
    // As llama-quantize has them: layer by layer, then by name.
    std::ranges::sort(outputs_, {}, [](const Output& o) {
      return std::pair(o.role.role.layer, std::string_view(o.name));
    });
    for (uint32_t i = 0; i < outputs_.size(); ++i) by_name_[outputs_[i].name] = i;
    // Reading follows the files from front to back, whatever the order of names.
    std::ranges::sort(kept_, {}, [](const Kept& kept) {
      const TensorExtent& main = *kept.weight->parts[0];
      return std::tuple(main.shard, main.offset, std::string_view(kept.weight->name));
    });
    return {};
  }

  static uint32_t PartsOf(const TensorRole& role) { return role.module == Module::kKvB ? 2 : 1; }

  static Result<void> CheckDecodable(const StoredWeight& weight) {
    const TensorInfo& info = weight.parts[0]->info;
    if (weight.scheme == nullptr) {
      return Fail(
          Error(ErrorCode::kUnsupported, "a weight of a type that cannot be decoded")
              .Of(info.name())
              .Expected("F32, F16, BF16, or codes with the scales that config.json describes")
              .Found(info.Describe()));
    }
    if (Info(info.dtype()).is_block()) {
      return Fail(Error(ErrorCode::kUnsupported, "the source is quantized for GGUF already")
                      .Of(info.name())
                      .Found(info.Describe())
                      .Next("quantize from the checkpoint that it was made of"));
    }
    return {};
  }

  Output MakeOutput(const std::string& name, const TensorRole& role, uint32_t part) const {
    const ModelSpec& spec = *source_.spec;
    Output output{.name = name, .role = {role, part}, .shape = *spec.ShapeOf(role)};
    output.role.role.expert = -1;
    if (role.mlp == Mlp::kRouted) {
      output.shape.insert(output.shape.begin(), spec.n_routed_experts);
    } else if (role.module == Module::kKvB && part == 0) {
      output.shape = {spec.num_attention_heads, spec.kv_lora_rank, spec.qk_nope_head_dim};
    } else if (role.module == Module::kKvB) {
      output.shape = {spec.num_attention_heads, spec.v_head_dim, spec.kv_lora_rank};
    }
    return output;
  }

  Result<void> ChooseTypes() {
    const ModelSpec& spec = *source_.spec;
    const GgufModel model{
        .layers = spec.num_hidden_layers + (keeps_mtp() ? spec.num_nextn_predict_layers : 0),
        .experts = spec.n_routed_experts,
        .tied = spec.tie_word_embeddings,
        .weighted = plan_.importance != nullptr};
    TESSERA_ASSIGN(GgufTypes types, GgufTypes::Make(*gguf_.mix, gguf_.rules, model));
    bool measured = false;
    for (Output& output : outputs_) {
      const Importance* entry = plan_.importance ? plan_.importance->Find(output.name) : nullptr;
      measured = measured || entry != nullptr;
      TESSERA_ASSIGN(output.dtype,
                     types.Choose(output.name, output.role, output.shape, entry != nullptr));
      if (entry == nullptr || !IsWeighted(output.dtype)) continue;
      const uint64_t values = output.matrices() * output.shape.back();
      if (entry->values != values) {
        return Fail(Error(ErrorCode::kBadCalibration, "the importance matrix is of another model")
                        .In(gguf_.imatrix->string())
                        .Of(output.name)
                        .Expected(std::to_string(values) + " values")
                        .Found(std::to_string(entry->values)));
      }
      output.importance = entry;
    }
    if (plan_.importance && !measured) {
      return Fail(Error(ErrorCode::kBadCalibration,
                        "the importance matrix knows none of the model's tensors")
                      .In(gguf_.imatrix->string())
                      .Expected("names such as " + outputs_.back().name));
    }
    return types.CheckRules();
  }

  Result<void> AddSteps() {
    for (const Kept& kept : kept_) TESSERA_TRY(AddStep(kept));
    return {};
  }

  Result<void> AddStep(const Kept& kept) {
    const StoredWeight& weight = *kept.weight;
    Step step;
    step.from = weight.scheme;
    step.rows = weight.rows;
    step.cols = weight.cols;
    for (const TensorExtent* part : weight.parts) {
      step.sources.push_back({.checkpoint = 0, .tensor = source_.checkpoint->IndexOf(*part)});
    }
    std::vector<uint32_t> outputs;
    for (uint32_t part = 0; part < PartsOf(kept.role); ++part) {
      outputs.push_back(by_name_.at(*GgufNameOf(kept.role, part)));
    }
    step.to = SchemeFor(kept.role, outputs);
    Result<void> accepted = step.to->Accepts(step.rows, step.cols);
    if (!accepted) return Fail(std::move(accepted).error().Of(outputs_[outputs[0]].name));
    step.bands = {{0, step.rows}};
    step.tile_rows = TileRowsOf(step);
    if (kept.role.mlp == Mlp::kRouted) step.tile_rows = EvenTileRows(step);
    AddDestinations(step, kept, outputs);
    fates_[step.sources[0].tensor].action = *outputs_[outputs[0]].by;
    plan_.steps.push_back(std::move(step));
    return {};
  }

  const Scheme* SchemeFor(const TensorRole& role, const std::vector<uint32_t>& outputs) {
    const Dtype first = outputs_[outputs[0]].dtype;
    if (role.module != Module::kKvB) return &GgmlMatrixScheme(first);
    const Dtype second = outputs_[outputs[1]].dtype;
    const auto [known, added] = kv_b_.try_emplace({first, second}, nullptr);
    if (added) {
      const ModelSpec& spec = *source_.spec;
      plan_.schemes.push_back(MakeGgmlKvBScheme({.heads = spec.num_attention_heads,
                                                 .nope = spec.qk_nope_head_dim,
                                                 .v = spec.v_head_dim,
                                                 .k_type = first,
                                                 .v_type = second}));
      known->second = plan_.schemes.back().get();
    }
    return known->second;
  }

  // The tiles of a stack must all be of one size, so those of an expert divide it.
  static uint64_t EvenTileRows(const Step& step) {
    const uint64_t quantum = std::lcm(step.from->row_quantum(), step.to->row_quantum());
    if (step.rows % quantum != 0) return step.rows;
    for (uint64_t rows = std::min(step.tile_rows, step.rows) / quantum * quantum; rows != 0;
         rows -= quantum) {
      if (step.rows % rows == 0) return rows;
    }
    return step.rows;
  }

  void AddDestinations(Step& step, const Kept& kept, const std::vector<uint32_t>& outputs) {
    const std::vector<PartSpec> parts = step.to->Parts(step.rows, step.cols);
    bool weighs = false;
    for (uint32_t part = 0; part < outputs.size(); ++part) {
      Output& output = outputs_[outputs[part]];
      if (!output.by) output.by = ActionOf(*kept.weight, output.dtype);
      const uint64_t bytes = step.to->PartBytes(part, step.rows, step.cols, {0, step.rows}).size();
      const uint64_t row_bytes = bytes / parts[part].shape[0];
      const bool stacked = kept.role.mlp == Mlp::kRouted;
      const auto expert = stacked ? static_cast<uint64_t>(kept.role.expert) : 0;
      step.destinations.push_back({.tensor = outputs[part],
                                   .part = part,
                                   .rows = {0, step.rows},
                                   .columns = {0, row_bytes},
                                   .row_bytes = row_bytes,
                                   .first_tile = 0,
                                   .tiles = 0,
                                   .first_digest = 0,
                                   .base = expert * bytes});
      step.importance.push_back({.entry = output.importance,
                                 .first = expert,
                                 .count = stacked ? 1 : output.matrices(),
                                 .matrices = output.matrices(),
                                 .columns = output.shape.back()});
      weighs = weighs || output.importance != nullptr;
    }
    if (!weighs) step.importance.clear();
  }

  static Action ActionOf(const StoredWeight& weight, Dtype target) {
    const Dtype stored = weight.parts[0]->info.dtype();
    if (Info(target).is_block()) return Action::kQuantized;
    if (weight.is_quantized()) return Action::kDequantized;
    return stored == target ? Action::kCopied : Action::kCast;
  }

  Result<void> Place() {
    std::vector<TensorInfo> tensors;
    for (const Output& output : outputs_) {
      TESSERA_ASSIGN(TensorInfo info, TensorInfo::Make(output.name, output.dtype, output.shape));
      tensors.push_back(std::move(info));
    }
    TESSERA_ASSIGN(const GgufMetadata metadata, Metadata(tensors));
    TESSERA_ASSIGN(GgufLayout layout, LayOutGguf(tensors, request_.shard_size, metadata,
                                                 request_.out.filename().string()));
    plan_.files = std::move(layout.files);
    plan_.first_file_last = true;
    for (size_t i = 0; i < tensors.size(); ++i) {
      plan_.tensors.push_back(
          {tensors[i], layout.places[i].file, layout.places[i].offset, *outputs_[i].by});
    }
    return {};
  }

  Result<GgufMetadata> Metadata(const std::vector<TensorInfo>& tensors) const {
    const Checkpoint& checkpoint = *source_.checkpoint;
    Json generation;
    constexpr std::string_view kGeneration = "generation_config.json";
    if (std::ranges::find(checkpoint.side_files(), kGeneration) != checkpoint.side_files().end()) {
      TESSERA_ASSIGN(generation, ReadJsonFile((checkpoint.dir() / kGeneration).string()));
    }
    TESSERA_ASSIGN(GgufMetadata metadata, ModelMetadata({.spec = source_.spec.get(),
                                                         .config = &config_,
                                                         .name = gguf_.name,
                                                         .size_label = SizeLabel(tensors),
                                                         .mtp = keeps_mtp()},
                                                        generation));
    if (gguf_.tokenizer) {
      Result<GgufMetadata> keys = TokenizerMetadata(checkpoint.dir(), source_.config);
      if (!keys) {
        return Fail(
            std::move(keys).error().Next("write the model without its tokenizer: --no-tokenizer"));
      }
      std::ranges::move(*keys, std::back_inserter(metadata));
    } else {
      metadata.emplace_back("tokenizer.ggml.model", std::string("none"));
    }
    std::ranges::move(TypeMetadata(*gguf_.mix, plan_.importance.get()),
                      std::back_inserter(metadata));
    return metadata;
  }

  void Describe() {
    PlanFolder& folder = plan_.folders.emplace_back();
    folder.file = request_.out.filename().string();
    Tally(plan_);
    CountFates(fates_, plan_);
    auto& request = plan_.request;
    request.emplace_back("gguf", gguf_.mix->name);
    request.emplace_back("mtp", Name(keeps_mtp() ? MtpMode::kKeep : MtpMode::kDrop));
    request.emplace_back("tokenizer", gguf_.tokenizer ? "true" : "false");
    std::string rules;
    for (const GgufTypeRule& rule : gguf_.rules) {
      rules += QuoteJson(rule.expression + "=" + std::string(Name(rule.dtype)));
    }
    if (!rules.empty()) request.emplace_back("tensor_types", rules);
    if (plan_.importance) request.emplace_back("imatrix", ToHex(plan_.importance->digest()));
    if (request_.sha256) request.emplace_back("sha256", "true");
    if (request_.shard_size != 0) {
      request.emplace_back("split_size", std::to_string(request_.shard_size));
    }
    std::ranges::sort(request);
  }

  const Request& request_;
  const GgufRequest& gguf_;
  Plan plan_;
  Source source_;
  GgufConfig config_;
  std::vector<Kept> kept_;       // in the order of reading
  std::vector<Output> outputs_;  // in the order of writing
  std::map<std::string, uint32_t, std::less<>> by_name_;
  std::map<std::pair<Dtype, Dtype>, const Scheme*> kv_b_;  // among plan_.schemes
  std::vector<Fate> fates_;                                // of the source's tensors
};

}  // namespace

Result<Plan> MakeGgufPlan(const Request& request) { return GgufPlanner(request).Run(); }

}  // namespace tessera
