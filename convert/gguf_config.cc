#include "convert/gguf_config.h"

#include <cmath>
#include <string>

#include "quant/config_fields.h"

namespace tessera {
namespace {

// Beyond these the loader aborts.
constexpr uint32_t kMaxLayers = 512, kMaxExperts = 1024;

Result<double> Positive(const ConfigFields& fields, std::string_view key) {
  TESSERA_ASSIGN(const std::optional<double> value, fields.Number(key));
  if (!value || !std::isfinite(*value) || *value <= 0) {
    return Fail(fields.Malformed(key, "a number above 0"));
  }
  return *value;
}

Result<std::optional<double>> PositiveIfAny(const ConfigFields& fields, std::string_view key) {
  if (fields.Find(key) == nullptr) return std::nullopt;
  TESSERA_ASSIGN(const double value, Positive(fields, key));
  return value;
}

Result<std::optional<uint32_t>> CountIfAny(const ConfigFields& fields, std::string_view key) {
  TESSERA_ASSIGN(const std::optional<int64_t> value, fields.Integer(key));
  if (!value) return std::nullopt;
  if (*value < 1 || *value > INT32_MAX) {
    return Fail(fields.Malformed(key, "an integer above 0, of 31 bits"));
  }
  return static_cast<uint32_t>(*value);
}

Result<uint32_t> Count(const ConfigFields& fields, std::string_view key) {
  TESSERA_ASSIGN(const std::optional<uint32_t> value, CountIfAny(fields, key));
  if (!value) return Fail(fields.Malformed(key, "an integer above 0"));
  return *value;
}

std::unexpected<Error> Inexpressible(const ConfigFields& fields, std::string what,
                                     std::string expected, std::string found) {
  return Fail(Error(ErrorCode::kUnsupported, "GGUF cannot express this model: " + std::move(what))
                  .In(fields.file())
                  .Expected(std::move(expected))
                  .Found(std::move(found))
                  .Next("nothing was written; docs/gguf.md says what llama.cpp can load"));
}

// Which tensors llama.cpp's loader looks for follows from numbers of layers.
Result<void> CheckLayers(const ConfigFields& fields, const ModelSpec& spec, bool mtp) {
  const uint32_t layers = spec.num_hidden_layers;
  const std::string found = std::to_string(layers) + " layers";
  const uint32_t written = layers + (mtp ? spec.num_nextn_predict_layers : 0);
  if (written > kMaxLayers || spec.n_routed_experts > kMaxExperts) {
    return Inexpressible(
        fields, "it is too large for the loader", "at most 512 layers and 1024 experts",
        std::to_string(written) + " layers, " + std::to_string(spec.n_routed_experts) + " experts");
  }
  // So the loader tells the models without a compressed query from the others.
  const bool lite = layers == 26 || layers == 27 || (layers == 48 && spec.vocab_size == 128256);
  if (lite && spec.q_lora_rank != 0) {
    return Inexpressible(fields, "the loader takes one of so many layers for a \"lite\" one",
                         "no q_lora_rank, or another number of layers",
                         found + " and q_lora_rank " + std::to_string(spec.q_lora_rank));
  }
  if (!lite && spec.q_lora_rank == 0) {
    return Inexpressible(fields, "the loader wants a q_lora_rank for this number of layers",
                         "26 or 27 layers without one", found);
  }
  for (uint32_t layer = spec.first_k_dense_replace; layer < written; ++layer) {
    if (spec.IsMoeLayer(layer)) continue;
    return Inexpressible(fields, "dense layers behind the first one with experts",
                         "moe_layer_freq 1",
                         "moe_layer_freq " + std::to_string(spec.moe_layer_freq));
  }
  if (mtp && spec.num_nextn_predict_layers > 1) {
    return Inexpressible(fields, "more than one MTP layer", "one, or --mtp drop",
                         std::to_string(spec.num_nextn_predict_layers));
  }
  return {};
}

Result<void> CheckModel(const ConfigFields& fields, const ModelSpec& spec) {
  if (spec.index_n_heads != 0) {
    return Inexpressible(fields, "its attention has an indexer, which deepseek2 has no place for",
                         "a model of the families v2, v3, k2 or moonlight",
                         std::string(Name(spec.family())));
  }
  if (spec.n_shared_experts == 0) {
    return Inexpressible(fields, "the loader wants shared experts", "n_shared_experts above 0",
                         "0");
  }
  TESSERA_TRY(fields.OneOf("hidden_act", {"silu"}));
  TESSERA_TRY(fields.OnlyFlag("rope_interleave", true));
  TESSERA_ASSIGN(const std::optional<uint32_t> kv_heads, CountIfAny(fields, "num_key_value_heads"));
  if (kv_heads && *kv_heads != spec.num_attention_heads) {
    return Fail(
        fields.Unsupported("num_key_value_heads", std::to_string(spec.num_attention_heads)));
  }
  return {};
}

Result<std::optional<GgufYarn>> ReadYarn(const ConfigFields& fields) {
  TESSERA_TRY(fields.OnlyKnown(
      {"type", "rope_type", "rope_theta", "factor", "beta_fast", "beta_slow", "mscale",
       "mscale_all_dim", "original_max_position_embeddings", "truncate", "partial_rotary_factor"}));
  TESSERA_TRY(fields.OnlyFlag("truncate", true));
  TESSERA_ASSIGN(const std::optional<double> partial, fields.Number("partial_rotary_factor"));
  if (partial && *partial != 1) return Fail(fields.Unsupported("partial_rotary_factor", "1"));
  const std::string_view key = fields.Find("rope_type") != nullptr ? "rope_type" : "type";
  TESSERA_ASSIGN(const bool typed, fields.OneOf(key, {"yarn", "default"}));
  if (!typed) return Fail(fields.Malformed(key, "\"yarn\" or \"default\""));
  if (*fields.Find(key) == "default") return std::nullopt;
  GgufYarn yarn;
  TESSERA_ASSIGN(yarn.factor, Positive(fields, "factor"));
  TESSERA_ASSIGN(yarn.original_context, Count(fields, "original_max_position_embeddings"));
  TESSERA_ASSIGN(yarn.beta_fast, PositiveIfAny(fields, "beta_fast"));
  TESSERA_ASSIGN(yarn.beta_slow, PositiveIfAny(fields, "beta_slow"));
  TESSERA_ASSIGN(yarn.mscale, PositiveIfAny(fields, "mscale_all_dim"));
  TESSERA_ASSIGN(const std::optional<double> mscale, PositiveIfAny(fields, "mscale"));
  if (mscale == yarn.mscale) return yarn;
  // One number stands for both in the file.
  return Fail(fields.Unsupported("mscale", "the value of mscale_all_dim, or neither of them"));
}

Result<void> ReadRope(const ConfigFields& fields, GgufConfig& config) {
  const bool newer = fields.Find("rope_parameters") != nullptr;
  if (newer && fields.Find("rope_scaling") != nullptr) {
    return Fail(fields.Unsupported("rope_scaling", "no such field beside rope_parameters"));
  }
  if (newer) {
    TESSERA_ASSIGN(const ConfigFields rope, fields.Object("rope_parameters"));
    TESSERA_ASSIGN(config.rope_theta, Positive(rope, "rope_theta"));
    TESSERA_ASSIGN(const std::optional<double> outer, fields.Number("rope_theta"));
    if (outer && *outer != config.rope_theta) {
      return Fail(fields.Unsupported("rope_theta", "the value in rope_parameters"));
    }
    TESSERA_ASSIGN(config.yarn, ReadYarn(rope));
    return {};
  }
  TESSERA_ASSIGN(config.rope_theta, Positive(fields, "rope_theta"));
  if (fields.Find("rope_scaling") == nullptr) return {};
  TESSERA_ASSIGN(const ConfigFields rope, fields.Object("rope_scaling"));
  TESSERA_ASSIGN(config.yarn, ReadYarn(rope));
  return {};
}

// The loader aborts on groups that are not so.
Result<void> ReadGroups(const ConfigFields& fields, const ModelSpec& spec, GgufConfig& config) {
  TESSERA_ASSIGN(config.expert_groups, CountIfAny(fields, "n_group"));
  TESSERA_ASSIGN(config.expert_groups_used, CountIfAny(fields, "topk_group"));
  const uint32_t experts = spec.n_routed_experts, groups = config.expert_groups.value_or(1);
  if (groups <= 1) return {};
  if (experts % groups != 0 || experts / groups < 2) {
    return Fail(fields.Unsupported(
        "n_group", "a divisor of the " + std::to_string(experts) +
                       " experts, with two or more in a group: a group's score is that of its two "
                       "best"));
  }
  const uint32_t used = config.expert_groups_used.value_or(0);
  if (used == 0 || used >= groups) {
    return Fail(fields.Unsupported(
        "topk_group", "fewer than the " + std::to_string(groups) + " groups, and at least one"));
  }
  return {};
}

Result<void> ReadRouter(const ConfigFields& fields, const ModelSpec& spec, GgufConfig& config) {
  TESSERA_ASSIGN(const bool scored, fields.OneOf("scoring_func", {"softmax", "sigmoid"}));
  // Newer writers leave the field out; the gate with a bias has always been the one of sigmoids.
  config.gating = spec.has_router_bias ? GgufGating::kSigmoid : GgufGating::kSoftmax;
  if (scored) {
    const bool sigmoid = *fields.Find("scoring_func") == "sigmoid";
    config.gating = sigmoid ? GgufGating::kSigmoid : GgufGating::kSoftmax;
  }
  TESSERA_ASSIGN(config.routed_scaling_factor, PositiveIfAny(fields, "routed_scaling_factor"));
  TESSERA_ASSIGN(const std::optional<bool> norm, fields.Flag("norm_topk_prob"));
  config.norm_topk_prob = norm.value_or(false);
  // DeepSeek's code for V2 then leaves the scaling out, llama.cpp does both.
  if (config.norm_topk_prob && !spec.has_router_bias &&
      config.routed_scaling_factor.value_or(1) != 1) {
    return Fail(fields.Unsupported("norm_topk_prob", "false beside a routed_scaling_factor"));
  }
  return ReadGroups(fields, spec, config);
}

}  // namespace

Result<GgufConfig> GgufConfig::Of(const Json& json, const ModelSpec& spec, const std::string& file,
                                  bool mtp) {
  TESSERA_ASSIGN(const ConfigFields fields, ConfigFields::Of(json, "", file));
  TESSERA_TRY(CheckModel(fields, spec));
  TESSERA_TRY(CheckLayers(fields, spec, mtp));
  GgufConfig config;
  TESSERA_ASSIGN(config.context_length, Count(fields, "max_position_embeddings"));
  TESSERA_ASSIGN(config.rms_norm_eps, Positive(fields, "rms_norm_eps"));
  TESSERA_TRY(ReadRope(fields, config));
  TESSERA_TRY(ReadRouter(fields, spec, config));
  return config;
}

}  // namespace tessera
