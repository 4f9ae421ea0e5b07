#include "convert/gguf_metadata.h"

#include <cstdio>
#include <utility>

#include "quant/config_fields.h"

namespace tessera {
namespace {

constexpr uint32_t kQuantizationVersion = 2;  // of ggml's block types

class Keys {
 public:
  void General(std::string_view key, GgufValue value) { Put("general.", key, std::move(value)); }
  void Model(std::string_view key, GgufValue value) { Put("deepseek2.", key, std::move(value)); }
  void Float(std::string_view key, double value) { Model(key, static_cast<float>(value)); }

  GgufMetadata Take() { return std::move(keys_); }

 private:
  void Put(std::string_view prefix, std::string_view key, GgufValue value) {
    keys_.emplace_back(std::string(prefix) + std::string(key), std::move(value));
  }

  GgufMetadata keys_;
};

// What llama.cpp samples with unless told otherwise.
Result<void> PutSampling(const Json& generation, Keys& keys) {
  if (generation.is_null()) return {};
  TESSERA_ASSIGN(const ConfigFields fields,
                 ConfigFields::Of(generation, "", "generation_config.json"));
  TESSERA_ASSIGN(const std::optional<int64_t> top_k, fields.Integer("top_k"));
  if (top_k && !std::in_range<int32_t>(*top_k)) {
    return Fail(fields.Malformed("top_k", "an integer of 32 bits"));
  }
  if (top_k) keys.General("sampling.top_k", static_cast<int32_t>(*top_k));
  constexpr std::pair<std::string_view, std::string_view> kNumbers[] = {
      {"top_p", "sampling.top_p"}, {"min_p", "sampling.min_p"}, {"temperature", "sampling.temp"}};
  for (const auto& [field, key] : kNumbers) {
    TESSERA_ASSIGN(const std::optional<double> number, fields.Number(field));
    if (number) keys.General(key, static_cast<float>(*number));
  }
  return {};
}

void PutRope(const GgufConfig& config, Keys& keys) {
  if (const std::optional<GgufYarn>& yarn = config.yarn) {
    keys.Model("rope.scaling.type", std::string("yarn"));
    keys.Float("rope.scaling.factor", yarn->factor);
    keys.Model("rope.scaling.original_context_length", yarn->original_context);
    if (yarn->beta_fast) keys.Float("rope.scaling.yarn_beta_fast", *yarn->beta_fast);
    if (yarn->beta_slow) keys.Float("rope.scaling.yarn_beta_slow", *yarn->beta_slow);
  }
  keys.Float("rope.freq_base", config.rope_theta);
}

void PutRouter(const ModelSpec& spec, const GgufConfig& config, Keys& keys) {
  keys.Model("expert_count", spec.n_routed_experts);
  keys.Model("expert_used_count", spec.num_experts_per_tok);
  if (config.expert_groups) keys.Model("expert_group_count", *config.expert_groups);
  if (config.expert_groups_used) {
    keys.Model("expert_group_used_count", *config.expert_groups_used);
  }
  keys.Model("expert_gating_func", static_cast<uint32_t>(config.gating));
}

// Attention is described as what it is computed as: one key-value head, of the compressed width.
void PutAttention(const ModelSpec& spec, Keys& keys) {
  if (spec.q_lora_rank != 0) keys.Model("attention.q_lora_rank", spec.q_lora_rank);
  keys.Model("attention.kv_lora_rank", spec.kv_lora_rank);
  keys.Model("attention.key_length", spec.kv_lora_rank + spec.qk_rope_head_dim);
  keys.Model("attention.value_length", spec.kv_lora_rank);
  keys.Model("attention.key_length_mla", spec.qk_nope_head_dim + spec.qk_rope_head_dim);
  keys.Model("attention.value_length_mla", spec.v_head_dim);
}

void PutExperts(const ModelSpec& spec, const GgufConfig& config, Keys& keys) {
  keys.Model("expert_feed_forward_length", spec.moe_intermediate_size);
  keys.Model("expert_shared_count", spec.n_shared_experts);
  if (config.routed_scaling_factor) {
    keys.Float("expert_weights_scale", *config.routed_scaling_factor);
  }
  if (config.norm_topk_prob) keys.Model("expert_weights_norm", true);
}

// "20B": at least two digits.
std::string RoundedCount(uint64_t count) {
  const auto n = static_cast<double>(count);
  const auto [unit, suffix] = n > 1e12  ? std::pair(1e-12, 'T')
                              : n > 1e9 ? std::pair(1e-9, 'B')
                              : n > 1e6 ? std::pair(1e-6, 'M')
                                        : std::pair(1e-3, 'K');
  char text[32];
  std::snprintf(text, sizeof text, "%.0f", n * unit);
  const std::string_view whole(text);
  const int digits = whole == "0" ? 0 : static_cast<int>(whole.size());
  std::snprintf(text, sizeof text, "%.*f%c", digits < 2 ? 2 - digits : 0, n * unit, suffix);
  return text;
}

}  // namespace

Result<GgufMetadata> ModelMetadata(const GgufDescription& description, const Json& generation) {
  const ModelSpec& spec = *description.spec;
  const GgufConfig& config = *description.config;
  const uint32_t mtp_layers = description.mtp ? spec.num_nextn_predict_layers : 0;
  Keys keys;
  keys.General("architecture", std::string("deepseek2"));
  keys.General("type", std::string("model"));
  TESSERA_TRY(PutSampling(generation, keys));
  if (!description.name.empty()) keys.General("name", description.name);
  keys.General("size_label", description.size_label);
  keys.Model("block_count", spec.num_hidden_layers + mtp_layers);
  keys.Model("context_length", config.context_length);
  keys.Model("embedding_length", spec.hidden_size);
  keys.Model("feed_forward_length", spec.intermediate_size);
  keys.Model("attention.head_count", spec.num_attention_heads);
  keys.Model("attention.head_count_kv", uint32_t{1});
  PutRope(config, keys);
  keys.Float("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  PutRouter(spec, config, keys);
  keys.Model("leading_dense_block_count", spec.first_k_dense_replace);
  keys.Model("vocab_size", spec.vocab_size);
  PutAttention(spec, keys);
  PutExperts(spec, config, keys);
  keys.Model("rope.dimension_count", spec.qk_rope_head_dim);
  // Ten times smaller than what it is called: the loader divides it by 0.1.
  if (config.yarn && config.yarn->mscale) {
    keys.Float("rope.scaling.yarn_log_multiplier", 0.1 * *config.yarn->mscale);
  }
  if (mtp_layers != 0) keys.Model("nextn_predict_layers", mtp_layers);
  return keys.Take();
}

GgufMetadata TypeMetadata(const GgufMix& mix, const ImportanceMatrix* importance) {
  GgufMetadata keys = {{"general.quantization_version", kQuantizationVersion},
                       {"general.file_type", mix.file_type}};
  if (importance == nullptr) return keys;
  keys.emplace_back("quantize.imatrix.file", importance->path().filename().string());
  if (!importance->datasets().empty()) {
    keys.emplace_back("quantize.imatrix.dataset", importance->datasets()[0]);
  }
  keys.emplace_back("quantize.imatrix.entries_count",
                    static_cast<uint32_t>(importance->entries().size()));
  if (importance->chunk_count() != 0) {
    keys.emplace_back("quantize.imatrix.chunks_count", importance->chunk_count());
  }
  return keys;
}

std::string SizeLabel(std::span<const TensorInfo> tensors) {
  uint64_t shared = 0, of_one_expert = 0, experts = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name().find("_exps.") == std::string::npos) {
      shared += tensor.elements();
    } else {
      experts = tensor.shape()[0];
      of_one_expert += tensor.elements() / experts;
    }
  }
  const std::string size = RoundedCount(shared + of_one_expert);
  return experts == 0 ? size : std::to_string(experts) + "x" + size;
}

}  // namespace tessera
