#include "formats/model_spec.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace tessera {
namespace {

struct ModelType {
  std::string_view name;
  Family family;
};
constexpr ModelType kModelTypes[] = {{"deepseek_v2", Family::kV2},
                                     {"deepseek_v3", Family::kV3},
                                     {"deepseek_v32", Family::kV32},
                                     {"kimi_k2", Family::kK2},
                                     {"glm_moe_dsa", Family::kGlm5}};

std::string KnownModelTypes() {
  std::string list;
  for (const ModelType& type : kModelTypes) {
    list += (list.empty() ? "" : ", ") + std::string(type.name);
  }
  return list;
}

// The value as config.json has it, cut short: a hostile file may hold anything.
std::string Show(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

std::unexpected<Error> BadField(std::string_view field, std::string expected, std::string found) {
  return Fail(Error(ErrorCode::kBadConfig, "config.json: " + std::string(field) + " cannot be used")
                  .Expected(std::move(expected))
                  .Found(std::move(found))
                  .Next("Compare config.json with the model's published one."));
}

// nullptr for a field that is absent or null.
const Json* FindField(const Json& config, std::string_view field) {
  const auto found = config.find(field);
  return found == config.end() || found->is_null() ? nullptr : &*found;
}

enum class Need : uint8_t { kPositive, kZeroOrMore, kZeroIfAbsent };

struct Dimension {
  std::string_view field;
  uint32_t ModelSpec::* member;
  uint32_t max;  // bounds what a hostile config makes us count or allocate
  Need need;
};

constexpr uint32_t kMaxWidth = 1 << 20;
constexpr uint32_t kMaxHeadDim = 1 << 14;
constexpr Dimension kDimensions[] = {
    {"hidden_size", &ModelSpec::hidden_size, kMaxWidth, Need::kPositive},
    {"num_hidden_layers", &ModelSpec::num_hidden_layers, 1024, Need::kPositive},
    {"num_nextn_predict_layers", &ModelSpec::num_nextn_predict_layers, 64, Need::kZeroIfAbsent},
    {"first_k_dense_replace", &ModelSpec::first_k_dense_replace, 1024, Need::kZeroOrMore},
    {"intermediate_size", &ModelSpec::intermediate_size, kMaxWidth, Need::kPositive},
    {"moe_intermediate_size", &ModelSpec::moe_intermediate_size, kMaxWidth, Need::kPositive},
    {"n_routed_experts", &ModelSpec::n_routed_experts, 65536, Need::kPositive},
    {"n_shared_experts", &ModelSpec::n_shared_experts, 64, Need::kZeroIfAbsent},
    {"num_experts_per_tok", &ModelSpec::num_experts_per_tok, 65536, Need::kPositive},
    {"num_attention_heads", &ModelSpec::num_attention_heads, 65536, Need::kPositive},
    {"kv_lora_rank", &ModelSpec::kv_lora_rank, kMaxWidth, Need::kPositive},
    {"qk_nope_head_dim", &ModelSpec::qk_nope_head_dim, kMaxHeadDim, Need::kPositive},
    {"qk_rope_head_dim", &ModelSpec::qk_rope_head_dim, kMaxHeadDim, Need::kPositive},
    {"v_head_dim", &ModelSpec::v_head_dim, kMaxHeadDim, Need::kPositive},
    {"vocab_size", &ModelSpec::vocab_size, 1 << 24, Need::kPositive},
};
constexpr Dimension kIndexerDimensions[] = {
    {"index_head_dim", &ModelSpec::index_head_dim, kMaxHeadDim, Need::kPositive},
    {"index_n_heads", &ModelSpec::index_n_heads, 65536, Need::kPositive},
    {"index_topk", &ModelSpec::index_topk, 1 << 24, Need::kPositive},
};

Result<uint32_t> ReadCount(const Json& config, std::string_view field, uint32_t max, Need need) {
  const uint32_t min = need == Need::kPositive ? 1 : 0;
  const std::string expected =
      "an integer from " + std::to_string(min) + " to " + std::to_string(max);
  const Json* value = FindField(config, field);
  if (value == nullptr) {
    if (need == Need::kZeroIfAbsent) return 0;
    return BadField(field, expected, config.contains(field) ? "null" : "no such field");
  }
  // A negative number wraps round to far above any maximum.
  const uint64_t count = value->is_number_integer() ? value->get<uint64_t>() : UINT64_MAX;
  if (count < min || count > max) return BadField(field, expected, Show(*value));
  return static_cast<uint32_t>(count);
}

Result<bool> ReadFlag(const Json& config, std::string_view field) {
  const Json* value = FindField(config, field);
  if (value == nullptr) return false;
  if (!value->is_boolean()) return BadField(field, "true or false", Show(*value));
  return value->get<bool>();
}

Result<Family> FamilyOf(const Json& config) {
  const Json* type = FindField(config, "model_type");
  const std::string name = type != nullptr && type->is_string() ? type->get<std::string>() : "";
  for (const ModelType& known : kModelTypes) {
    if (known.name == name) return known.family;
  }
  Error error(ErrorCode::kUnknownModelType,
              type == nullptr ? "config.json names no model_type"
                              : "the model type " + Show(*type) + " is not supported");
  if (const Json* text = FindField(config, "text_config"); text != nullptr && text->is_object()) {
    const Json* inner = FindField(*text, "model_type");
    error = Error(ErrorCode::kUnknownModelType,
                  "config.json wraps its text model" +
                      (inner == nullptr ? std::string() : " " + Show(*inner)) +
                      " in text_config: multimodal wrappers are not supported");
  }
  return Fail(std::move(error)
                  .Expected("model_type one of " + KnownModelTypes())
                  .Found(type == nullptr ? "none" : Show(*type)));
}

// Powers of two as scales are all that tells V3.1 from V3.
bool HasUe8m0Scales(const Json& config) {
  const Json* quantization = FindField(config, "quantization_config");
  if (quantization == nullptr || !quantization->is_object()) return false;
  const Json* format = FindField(*quantization, "scale_fmt");
  return format != nullptr && format->is_string() && format->get<std::string>() == "ue8m0";
}

}  // namespace

std::string_view Name(Family family) {
  switch (family) {
    case Family::kV2:
      return "v2";
    case Family::kV2Lite:
      return "v2-lite";
    case Family::kV3:
      return "v3";
    case Family::kV31:
      return "v3.1";
    case Family::kV32:
      return "v3.2";
    case Family::kK2:
      return "k2";
    case Family::kMoonlight:
      return "moonlight";
    case Family::kGlm5:
      return "glm5";
  }
  return "unknown";
}

Result<ModelSpec> ModelSpec::FromConfig(const Json& config) {
  if (!config.is_object()) {
    return Fail(Error(ErrorCode::kBadConfig, "config.json is not an object")
                    .Found(std::string(config.type_name())));
  }
  ModelSpec spec;
  TESSERA_ASSIGN(spec.family_, FamilyOf(config));
  spec.model_type_ = config["model_type"].get<std::string>();
  TESSERA_TRY(spec.ReadDimensions(config));
  TESSERA_TRY(spec.ReadSwitches(config));
  TESSERA_TRY(spec.ReadIndexer(config));
  TESSERA_TRY(spec.CheckDimensions());
  if (spec.family_ == Family::kV2 && spec.q_lora_rank == 0) spec.family_ = Family::kV2Lite;
  if (spec.family_ == Family::kV3 && HasUe8m0Scales(config)) spec.family_ = Family::kV31;
  if (spec.model_type_ == "deepseek_v3" && spec.q_lora_rank == 0) {
    spec.family_ = Family::kMoonlight;
  }
  return spec;
}

Result<void> ModelSpec::ReadDimensions(const Json& config) {
  for (const Dimension& d : kDimensions) {
    TESSERA_ASSIGN(this->*d.member, ReadCount(config, d.field, d.max, d.need));
  }
  if (config.contains("moe_layer_freq")) {
    TESSERA_ASSIGN(moe_layer_freq, ReadCount(config, "moe_layer_freq", 1024, Need::kPositive));
  }
  // Null means a plain q_proj; absent would mean whatever the reader's default is.
  if (!config.contains("q_lora_rank")) {
    return BadField("q_lora_rank", "an integer, or null for a model with a plain q_proj",
                    "no such field");
  }
  TESSERA_ASSIGN(q_lora_rank, ReadCount(config, "q_lora_rank", kMaxWidth, Need::kZeroIfAbsent));
  return {};
}

Result<void> ModelSpec::ReadSwitches(const Json& config) {
  TESSERA_ASSIGN(tie_word_embeddings, ReadFlag(config, "tie_word_embeddings"));
  TESSERA_ASSIGN(const bool attention_bias, ReadFlag(config, "attention_bias"));
  if (attention_bias) {
    return BadField("attention_bias", "false: no model of these families has such biases", "true");
  }
  const Json* method = FindField(config, "topk_method");
  if (method == nullptr) {
    // Newer writers leave the field out; the later model types know no other gate.
    has_router_bias = family_ != Family::kV2;
    return {};
  }
  constexpr std::string_view kMethods[] = {"noaux_tc", "greedy", "group_limited_greedy"};
  if (!method->is_string() ||
      std::ranges::find(kMethods, method->get<std::string>()) == std::end(kMethods)) {
    return BadField("topk_method", R"("noaux_tc", "greedy" or "group_limited_greedy")",
                    Show(*method));
  }
  has_router_bias = method->get<std::string>() == "noaux_tc";
  return {};
}

Result<void> ModelSpec::ReadIndexer(const Json& config) {
  if (family_ != Family::kV32 && family_ != Family::kGlm5) return {};
  for (const Dimension& d : kIndexerDimensions) {
    TESSERA_ASSIGN(this->*d.member, ReadCount(config, d.field, d.max, d.need));
  }
  if (q_lora_rank == 0) {
    return BadField("q_lora_rank", "an integer above 0: the indexer reads the compressed query",
                    config["q_lora_rank"].is_null() ? "null" : "0");
  }
  const Json* types = FindField(config, "indexer_types");
  if (types == nullptr) return {};
  if (!types->is_array() || types->size() < num_hidden_layers || types->size() > total_layers()) {
    return BadField("indexer_types",
                    "an array of \"full\" or \"shared\" for each of the " +
                        std::to_string(num_hidden_layers) + " layers",
                    types->is_array() ? std::to_string(types->size()) + " entries" : Show(*types));
  }
  for (const Json& type : *types) {
    if (type != "full" && type != "shared") {
      return BadField("indexer_types", "\"full\" or \"shared\" for every layer", Show(type));
    }
    indexer_shared_.push_back(type == "shared");
  }
  return {};
}

Result<void> ModelSpec::CheckDimensions() const {
  const auto at_most = [](std::string_view field, uint64_t value, uint64_t max,
                          const std::string& why) -> Result<void> {
    if (value <= max) return {};
    return BadField(field, "at most " + std::to_string(max) + ", " + why, std::to_string(value));
  };
  TESSERA_TRY(at_most("first_k_dense_replace", first_k_dense_replace, num_hidden_layers,
                      "the number of layers"));
  TESSERA_TRY(at_most("num_experts_per_tok", num_experts_per_tok, n_routed_experts,
                      "the number of experts"));
  return at_most("n_routed_experts", uint64_t{n_routed_experts} * total_layers(), 1 << 20,
                 "experts of all layers together");
}

bool ModelSpec::IsMoeLayer(uint32_t layer) const {
  return layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
}

bool ModelSpec::HasIndexer(uint32_t layer) const {
  return index_n_heads != 0 && (layer >= indexer_shared_.size() || !indexer_shared_[layer]);
}

bool ModelSpec::IsOptional(const TensorRole& role) const {
  return role.module == Module::kMtpEmbedTokens || role.module == Module::kMtpHead ||
         role.part == Part::kBuffer || (role.module == Module::kLmHead && tie_word_embeddings);
}

bool ModelSpec::Has(const TensorRole& role) const {
  const bool global = role.module <= Module::kLmHead;
  if (global ? role.layer != -1 : (role.layer < 0 || role.layer >= int64_t{total_layers()})) {
    return false;
  }
  const auto layer = static_cast<uint32_t>(role.layer);
  const bool projection = role.module >= Module::kGateProj && role.module <= Module::kDownProj;
  if (projection != (role.mlp != Mlp::kNone)) return false;
  if (role.mlp == Mlp::kRouted ? (role.expert < 0 || role.expert >= int64_t{n_routed_experts})
                               : role.expert != -1) {
    return false;
  }
  if (projection && IsMoeLayer(layer) == (role.mlp == Mlp::kDense)) return false;
  if (role.mlp == Mlp::kShared && n_shared_experts == 0) return false;
  if (role.module == Module::kQ && q_lora_rank != 0) return false;
  if (role.module >= Module::kQA && role.module <= Module::kQB && q_lora_rank == 0) return false;
  if (role.module >= Module::kIndexerWqB && role.module <= Module::kIndexerKNorm &&
      !HasIndexer(layer)) {
    return false;
  }
  if (role.module == Module::kRouter && !IsMoeLayer(layer)) return false;
  if (role.module >= Module::kMtpEmbedTokens && !IsMtpLayer(role.layer)) return false;
  switch (role.part) {
    case Part::kWeight:
      return role.module != Module::kRotaryInvFreq;
    case Part::kBias:
      return role.module == Module::kIndexerKNorm;
    case Part::kRouterBias:
      return role.module == Module::kRouter && has_router_bias;
    case Part::kBuffer:
      return role.module == Module::kRotaryInvFreq;
    case Part::kInputScale:
      return role.mlp == Mlp::kRouted;
    case Part::kKeyHeads:
    case Part::kValueHeads:
      return role.module == Module::kKvB;
    default:
      return WeightShape(role).size() == 2;
  }
}

Shape ModelSpec::WeightShape(const TensorRole& role) const {
  const uint64_t hidden = hidden_size, heads = num_attention_heads;
  const uint64_t inter = role.mlp == Mlp::kDense ? intermediate_size
                         : role.mlp == Mlp::kShared
                             ? uint64_t{n_shared_experts} * moe_intermediate_size
                             : moe_intermediate_size;
  switch (role.module) {
    case Module::kEmbedTokens:
    case Module::kLmHead:
    case Module::kMtpEmbedTokens:
    case Module::kMtpHead:
      return {vocab_size, hidden};
    case Module::kFinalNorm:
    case Module::kInputNorm:
    case Module::kPostAttentionNorm:
    case Module::kMtpENorm:
    case Module::kMtpHNorm:
    case Module::kMtpHeadNorm:
      return {hidden};
    case Module::kQ:
      return {heads * (qk_nope_head_dim + qk_rope_head_dim), hidden};
    case Module::kQA:
      return {q_lora_rank, hidden};
    case Module::kQANorm:
      return {q_lora_rank};
    case Module::kQB:
      return {heads * (qk_nope_head_dim + qk_rope_head_dim), q_lora_rank};
    case Module::kKvA:
      return {uint64_t{kv_lora_rank} + qk_rope_head_dim, hidden};
    case Module::kKvANorm:
      return {kv_lora_rank};
    case Module::kKvB:
      return {heads * (qk_nope_head_dim + v_head_dim), kv_lora_rank};
    case Module::kO:
      return {hidden, heads * v_head_dim};
    case Module::kRotaryInvFreq:
      return {};
    case Module::kIndexerWqB:
      return {uint64_t{index_n_heads} * index_head_dim, q_lora_rank};
    case Module::kIndexerWk:
      return {index_head_dim, hidden};
    case Module::kIndexerWeightsProj:
      return {index_n_heads, hidden};
    case Module::kIndexerKNorm:
      return {index_head_dim};
    case Module::kRouter:
      return {n_routed_experts, hidden};
    case Module::kGateProj:
    case Module::kUpProj:
      return {inter, hidden};
    case Module::kDownProj:
      return {hidden, inter};
    case Module::kMtpEhProj:
      return {hidden, 2 * hidden};
  }
  return {};
}

std::optional<Shape> ModelSpec::ShapeOf(const TensorRole& role) const {
  if (!Has(role)) return std::nullopt;
  switch (role.part) {
    case Part::kWeight:
      return WeightShape(role);
    case Part::kBias:
      return Shape{index_head_dim};
    case Part::kRouterBias:
      return Shape{n_routed_experts};
    default:
      return std::nullopt;
  }
}

void ModelSpec::ForEach(const std::function<void(const TensorRole&)>& visit) const {
  visit({.module = Module::kEmbedTokens});
  for (uint32_t layer = 0; layer < num_hidden_layers; ++layer) ForEachInLayer(layer, visit);
  visit({.module = Module::kFinalNorm});
  if (!tie_word_embeddings) visit({.module = Module::kLmHead});
  for (uint32_t layer = num_hidden_layers; layer < total_layers(); ++layer) {
    ForEachInLayer(layer, visit);
  }
}

void ModelSpec::ForEachInLayer(uint32_t layer,
                               const std::function<void(const TensorRole&)>& visit) const {
  TensorRole role{.layer = static_cast<int32_t>(layer)};
  const auto each = [&](std::initializer_list<Module> modules, Part part = Part::kWeight) {
    for (const Module module : modules) {
      role.module = module;
      role.part = part;
      if (Has(role)) visit(role);
    }
  };
  using enum Module;
  each({kQ, kQA, kQANorm, kQB, kKvA, kKvANorm, kKvB, kO});
  each({kIndexerWqB, kIndexerWk, kIndexerKNorm});
  each({kIndexerKNorm}, Part::kBias);
  each({kIndexerWeightsProj, kRouter});
  each({kRouter}, Part::kRouterBias);
  for (const Mlp mlp : {Mlp::kDense, Mlp::kShared}) {
    role.mlp = mlp;
    each({kGateProj, kUpProj, kDownProj});
  }
  role.mlp = Mlp::kRouted;
  const uint32_t experts = IsMoeLayer(layer) ? n_routed_experts : 0;
  for (uint32_t expert = 0; expert < experts; ++expert) {
    role.expert = static_cast<int32_t>(expert);
    each({kGateProj, kUpProj, kDownProj});
  }
  role.mlp = Mlp::kNone;
  role.expert = -1;
  each({kInputNorm, kPostAttentionNorm});
  each({kMtpEmbedTokens, kMtpENorm, kMtpHNorm, kMtpEhProj, kMtpHeadNorm, kMtpHead});
}

}  // namespace tessera
