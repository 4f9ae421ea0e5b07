#include "verify/forward_config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>

#include "quant/quant_args.h"

namespace tessera {
namespace {

bool IsPositiveF32(double value) {
  using Limits = std::numeric_limits<float>;
  return value >= double{Limits::min()} && value <= double{Limits::max()};
}

// config.json or an object in it, with the field names that its errors give.
class Fields {
 public:
  explicit Fields(const Json& object, std::string prefix = "")
      : object_(object), prefix_(std::move(prefix)) {}

  // nullptr for a field that is absent or null.
  const Json* Find(std::string_view field) const {
    const auto found = object_.find(field);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  std::unexpected<Error> Refuse(std::string_view field, std::string expected) const {
    const Json* value = Find(field);
    std::string found = "no such field";
    if (value != nullptr) {
      found = value->dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60);
    }
    return Fail(Error(ErrorCode::kBadConfig, "config.json: " + prefix_ + std::string(field) +
                                                 " is not one that a forward pass can follow")
                    .Expected(std::move(expected))
                    .Found(std::move(found)));
  }

  // A field that must be there unless it has a `fallback`.
  Result<double> Positive(std::string_view field, std::optional<double> fallback = {}) const {
    const Json* value = Find(field);
    if (value == nullptr && fallback) return *fallback;
    if (value == nullptr || !value->is_number() || !IsPositiveF32(value->get<double>())) {
      return Refuse(field, "a number above 0 that F32 holds");
    }
    return value->get<double>();
  }

  // Likewise, where a number below makes nothing but infinities.
  Result<double> AtLeast(std::string_view field, double least) const {
    TESSERA_ASSIGN(const double value, Positive(field));
    if (value < least) return Refuse(field, "at least " + Json(least).dump());
    return value;
  }

  Result<uint32_t> Count(std::string_view field, uint32_t max,
                         std::optional<uint32_t> fallback = {}) const {
    const Json* value = Find(field);
    if (value == nullptr && fallback) return *fallback;
    if (value == nullptr || !value->is_number_unsigned() || value->get<uint64_t>() == 0 ||
        value->get<uint64_t>() > max) {
      return Refuse(field, "an integer from 1 to " + std::to_string(max));
    }
    return value->get<uint32_t>();
  }

  Result<bool> Flag(std::string_view field, std::optional<bool> fallback = {}) const {
    const Json* value = Find(field);
    if (value == nullptr && fallback) return *fallback;
    if (value == nullptr || !value->is_boolean()) return Refuse(field, "true or false");
    return value->get<bool>();
  }

  // Absent, or exactly this.
  Result<void> Only(std::string_view field, const Json& supported) const {
    const Json* value = Find(field);
    if (value == nullptr || *value == supported) return {};
    return Refuse(field, supported.dump() + ", or no such field");
  }

  Result<void> Knows(std::initializer_list<std::string_view> fields) const {
    for (const auto& [field, value] : object_.items()) {
      if (std::ranges::find(fields, field) == fields.end() && !value.is_null()) {
        return Refuse(field, "no such field");
      }
    }
    return {};
  }

 private:
  const Json& object_;
  std::string prefix_;
};

// YaRN's correction of the attention's magnitude for a context `factor` times as long.
double Mscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

Result<void> ReadYarn(const Fields& fields, RopeConfig& rope) {
  rope.yarn = true;
  TESSERA_ASSIGN(rope.factor, fields.AtLeast("factor", 1));
  TESSERA_ASSIGN(rope.beta_fast, fields.Positive("beta_fast", 32));
  TESSERA_ASSIGN(rope.beta_slow, fields.Positive("beta_slow", 1));
  TESSERA_ASSIGN(rope.original_max_position_embeddings,
                 fields.Positive("original_max_position_embeddings"));
  TESSERA_TRY(fields.Only("truncate", true));
  // Given alone, either means one thing to DeepSeek's code and another to transformers.
  const bool has_mscale = fields.Find("mscale") != nullptr;
  if (has_mscale != (fields.Find("mscale_all_dim") != nullptr)) {
    return fields.Refuse(has_mscale ? "mscale_all_dim" : "mscale",
                         "both of mscale and mscale_all_dim, or neither");
  }
  if (!has_mscale) {
    rope.rotation_factor = Mscale(rope.factor, 1);
    return {};
  }
  TESSERA_ASSIGN(const double mscale, fields.Positive("mscale"));
  TESSERA_ASSIGN(const double all_dim, fields.Positive("mscale_all_dim"));
  rope.rotation_factor = Mscale(rope.factor, mscale) / Mscale(rope.factor, all_dim);
  rope.softmax_factor = std::pow(Mscale(rope.factor, all_dim), 2);
  if (!IsPositiveF32(rope.rotation_factor) || !IsPositiveF32(rope.softmax_factor)) {
    return fields.Refuse("mscale", "a magnitude that F32 holds");
  }
  return {};
}

Result<void> ReadScaling(const Fields& fields, RopeConfig& rope) {
  TESSERA_TRY(fields.Knows({"type", "rope_type", "rope_theta", "factor", "beta_fast", "beta_slow",
                            "mscale", "mscale_all_dim", "original_max_position_embeddings",
                            "truncate", "partial_rotary_factor"}));
  TESSERA_TRY(fields.Only("partial_rotary_factor", 1.0));
  const Json* type = fields.Find("rope_type");
  if (type == nullptr) type = fields.Find("type");
  if (type != nullptr) TESSERA_TRY(fields.Only("type", *type));
  if (type != nullptr && *type == "default") return {};
  if (type != nullptr && *type == "yarn") return ReadYarn(fields, rope);
  return fields.Refuse("rope_type", R"("yarn" or "default")");
}

Result<RopeConfig> ReadRope(const Fields& config) {
  RopeConfig rope;
  const Json* parameters = config.Find("rope_parameters");
  const Json* scaling = config.Find("rope_scaling");
  if (parameters != nullptr && scaling != nullptr) {
    return config.Refuse("rope_scaling", "no such field beside rope_parameters");
  }
  const std::string_view name = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  const Json* object = parameters != nullptr ? parameters : scaling;
  if (object != nullptr && !object->is_object()) return config.Refuse(name, "an object");
  constexpr double kLeastTheta = 2;  // at 1 all pairs turn alike
  if (parameters != nullptr) {
    const Fields inner(*parameters, "rope_parameters.");
    TESSERA_ASSIGN(rope.theta, inner.AtLeast("rope_theta", kLeastTheta));
    TESSERA_TRY(config.Only("rope_theta", *inner.Find("rope_theta")));
  } else {
    TESSERA_ASSIGN(rope.theta, config.AtLeast("rope_theta", kLeastTheta));
  }
  if (object != nullptr) {
    TESSERA_TRY(ReadScaling(Fields(*object, std::string(name) + "."), rope));
  }
  return rope;
}

Result<void> ReadGroups(const Fields& fields, const ModelSpec& spec, ForwardConfig& config) {
  const uint32_t experts = spec.n_routed_experts;
  TESSERA_ASSIGN(config.n_group, fields.Count("n_group", experts));
  TESSERA_ASSIGN(config.topk_group, fields.Count("topk_group", config.n_group));
  if (experts % config.n_group != 0) {
    return fields.Refuse("n_group", "a divisor of the " + std::to_string(experts) + " experts");
  }
  const uint32_t group = experts / config.n_group;
  if (config.topk_method == TopkMethod::kNoauxTc && group < 2) {
    return fields.Refuse("n_group", "groups of two experts or more: their two best are added");
  }
  if (uint64_t{config.topk_group} * group < spec.num_experts_per_tok) {
    return fields.Refuse("topk_group", "groups that hold num_experts_per_tok experts together");
  }
  return {};
}

Result<void> ReadRouter(const Fields& fields, const ModelSpec& spec, ForwardConfig& config) {
  const Json* method = fields.Find("topk_method");
  if (spec.has_router_bias) {
    config.topk_method = TopkMethod::kNoauxTc;
  } else if (method != nullptr && *method == "group_limited_greedy") {
    config.topk_method = TopkMethod::kGroupLimitedGreedy;
  } else if (method != nullptr && *method == "greedy") {
    config.topk_method = TopkMethod::kGreedy;
  } else {
    return fields.Refuse("topk_method", R"("noaux_tc", "greedy" or "group_limited_greedy")");
  }
  TESSERA_TRY(fields.Only("scoring_func", spec.has_router_bias ? "sigmoid" : "softmax"));
  TESSERA_ASSIGN(config.norm_topk_prob, fields.Flag("norm_topk_prob"));
  if (config.norm_topk_prob && !spec.has_router_bias) {
    // DeepSeek's code then leaves the scaling out, transformers leaves the normalising out.
    return fields.Refuse("norm_topk_prob", "false with " + method->dump());
  }
  TESSERA_ASSIGN(config.routed_scaling_factor, fields.Positive("routed_scaling_factor"));
  if (config.topk_method == TopkMethod::kGreedy) return {};
  return ReadGroups(fields, spec, config);
}

Result<void> ReadIndexer(const Fields& fields, const ModelSpec& spec, ForwardConfig& config) {
  TESSERA_ASSIGN(config.indexer_rope_interleave,
                 fields.Flag("indexer_rope_interleave", spec.family() == Family::kGlm5));
  if (spec.index_n_heads == 0) return {};
  if (spec.index_head_dim < spec.qk_rope_head_dim) {
    return fields.Refuse("index_head_dim", "at least qk_rope_head_dim");
  }
  if (!spec.HasIndexer(0)) {
    return fields.Refuse("indexer_types", "\"full\" for the first layer: it has none to share");
  }
  // Other ways to say which layers share; without indexer_types nothing else would say so.
  if (fields.Find("indexer_types") == nullptr) {
    TESSERA_TRY(fields.Only("index_topk_pattern", nullptr));
    TESSERA_TRY(fields.Only("index_topk_freq", 1));
  }
  return {};
}

Result<void> CheckLayerTypes(const Fields& fields, const ModelSpec& spec) {
  const Json* types = fields.Find("mlp_layer_types");
  if (types == nullptr) return {};
  bool same = types->is_array() && types->size() == spec.num_hidden_layers;
  for (uint32_t layer = 0; same && layer < spec.num_hidden_layers; ++layer) {
    same = (*types)[layer] == (spec.IsMoeLayer(layer) ? "sparse" : "dense");
  }
  if (same) return {};
  return fields.Refuse("mlp_layer_types", "what first_k_dense_replace says");
}

}  // namespace

Result<ForwardConfig> ForwardConfig::FromConfig(const Json& json, const ModelSpec& spec) {
  const Fields fields(json);
  ForwardConfig config;
  TESSERA_ASSIGN(config.rms_norm_eps, fields.Positive("rms_norm_eps"));
  TESSERA_ASSIGN(config.max_position_embeddings, fields.Count("max_position_embeddings", 1u << 30));
  TESSERA_ASSIGN(config.rope, ReadRope(fields));
  if (spec.qk_rope_head_dim % 2 != 0) return fields.Refuse("qk_rope_head_dim", "an even number");
  TESSERA_ASSIGN(config.rope_interleave, fields.Flag("rope_interleave", true));
  TESSERA_TRY(fields.Only("hidden_act", "silu"));
  TESSERA_TRY(fields.Only("num_key_value_heads", spec.num_attention_heads));
  TESSERA_TRY(CheckLayerTypes(fields, spec));
  TESSERA_TRY(ReadRouter(fields, spec, config));
  TESSERA_TRY(ReadIndexer(fields, spec, config));
  TESSERA_ASSIGN(const QuantArgs quant, QuantArgs::FromConfig(json));
  config.ue8m0_activations = quant.ue8m0;
  const Json* bos = fields.Find("bos_token_id");
  if (bos != nullptr && bos->is_number_unsigned() && bos->get<uint64_t>() < spec.vocab_size) {
    config.bos_token_id = bos->get<uint32_t>();
  }
  return config;
}

}  // namespace tessera
