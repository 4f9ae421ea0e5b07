#include "formats/gguf_hf_config.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "formats/demo_config.h"

namespace tessera {
namespace {

// Rounded to what an F32 can tell, as the writer's factor of 0.1 came on top.
double TenTimes(float value) {
  std::array<char, 32> text;
  const auto written = std::to_chars(text.data(), text.data() + text.size(),
                                     ShortestDecimal(value) * 10, std::chars_format::general, 7);
  double number = 0;
  std::from_chars(text.data(), written.ptr, number);
  return number;
}

// The keys "deepseek2.*".
class Fields {
 public:
  explicit Fields(const GgufMetadata& metadata) : metadata_(metadata) {}

  // Of this type, or nullptr if absent.
  template <class T>
  Result<const T*> Get(std::string_view field) const {
    const GgufValue* value = Find(metadata_, KeyOf(field));
    if (value == nullptr) return nullptr;
    if (const T* typed = std::get_if<T>(value)) return typed;
    return Fail(Error(ErrorCode::kBadMetadata, "metadata of the wrong type")
                    .Fact("key", KeyOf(field))
                    .Expected(TypeName(T()))
                    .Found(TypeName(*value)));
  }

  template <class T>
  Result<T> GetOr(std::string_view field, T otherwise) const {
    TESSERA_ASSIGN(const T* value, Get<T>(field));
    return value == nullptr ? otherwise : *value;
  }

  Result<uint32_t> Count(std::string_view field) const {
    TESSERA_ASSIGN(const uint32_t* value, Get<uint32_t>(field));
    if (value != nullptr) return *value;
    return Fail(Missing(field, "u32"));
  }

  Result<double> Number(std::string_view field, std::optional<float> otherwise = {}) const {
    TESSERA_ASSIGN(const float* found, Get<float>(field));
    const std::optional<float> value = found == nullptr ? otherwise : *found;
    if (!value) return Fail(Missing(field, "f32"));
    if (std::isfinite(*value)) return ShortestDecimal(*value);
    return Fail(Error(ErrorCode::kBadMetadata, "metadata that is no number")
                    .Fact("key", KeyOf(field))
                    .Found(std::to_string(*value)));
  }

  // `whole` less `part`, both of them sizes.
  Result<uint32_t> Difference(std::string_view whole, uint32_t size, uint32_t part) const {
    if (part < size) return size - part;
    return Fail(Error(ErrorCode::kBadMetadata, "metadata that contradicts itself")
                    .Fact("key", KeyOf(whole))
                    .Expected("more than " + std::to_string(part))
                    .Found(std::to_string(size)));
  }

 private:
  static std::string KeyOf(std::string_view field) {
    return std::string(kGgufArchitecture) + "." + std::string(field);
  }
  static Error Missing(std::string_view field, const char* type) {
    return Error(ErrorCode::kBadMetadata, "metadata lacks a key that the model is described by")
        .Expected(KeyOf(field) + ", " + type);
  }

  const GgufMetadata& metadata_;
};

struct CountField {
  const char* hf;
  const char* gguf;
};
constexpr CountField kCounts[] = {
    {"first_k_dense_replace", "leading_dense_block_count"},
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"kv_lora_rank", "attention.kv_lora_rank"},
    {"max_position_embeddings", "context_length"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"n_routed_experts", "expert_count"},
    {"n_shared_experts", "expert_shared_count"},
    {"num_attention_heads", "attention.head_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"num_key_value_heads", "attention.head_count"},
    {"qk_rope_head_dim", "rope.dimension_count"},
};

Result<void> PutLayers(const Fields& fields, Json& out) {
  TESSERA_ASSIGN(const uint32_t blocks, fields.Count("block_count"));
  TESSERA_ASSIGN(const uint32_t mtp, fields.GetOr<uint32_t>("nextn_predict_layers", 0));
  TESSERA_ASSIGN(out["num_hidden_layers"], fields.Difference("block_count", blocks, mtp));
  out["num_nextn_predict_layers"] = mtp;
  return {};
}

// Files from before llama.cpp multiplied by the compressed keys give the heads' own sizes where
// newer ones have those of the compressed ones.
Result<void> PutHeads(const Fields& fields, Json& out) {
  TESSERA_ASSIGN(const auto* q_lora_rank, fields.Get<uint32_t>("attention.q_lora_rank"));
  out["q_lora_rank"] = q_lora_rank ? Json(*q_lora_rank) : Json(nullptr);
  TESSERA_ASSIGN(const auto* key_mla, fields.Get<uint32_t>("attention.key_length_mla"));
  const char* key = key_mla ? "attention.key_length_mla" : "attention.key_length";
  TESSERA_ASSIGN(const uint32_t key_length, fields.Count(key));
  TESSERA_ASSIGN(out["v_head_dim"],
                 fields.Count(key_mla ? "attention.value_length_mla" : "attention.value_length"));
  TESSERA_ASSIGN(out["qk_nope_head_dim"],
                 fields.Difference(key, key_length, out["qk_rope_head_dim"].get<uint32_t>()));
  return {};
}

Result<void> PutRouting(const Fields& fields, Json& out) {
  constexpr uint32_t kSoftmax = 1, kSigmoid = 2;
  TESSERA_ASSIGN(uint32_t gating, fields.GetOr<uint32_t>("expert_gating_func", 0));
  if (gating == 0) gating = kSoftmax;
  if (gating != kSoftmax && gating != kSigmoid) {
    return Fail(Error(ErrorCode::kUnsupported, "experts are scored in a way that is not supported")
                    .Fact("key", "deepseek2.expert_gating_func")
                    .Expected("1 (softmax) or 2 (sigmoid)")
                    .Found(std::to_string(gating)));
  }
  TESSERA_ASSIGN(const uint32_t groups, fields.GetOr<uint32_t>("expert_group_count", 1));
  TESSERA_ASSIGN(const uint32_t used, fields.GetOr<uint32_t>("expert_group_used_count", 1));
  TESSERA_ASSIGN(out["norm_topk_prob"], fields.GetOr("expert_weights_norm", false));
  TESSERA_ASSIGN(const double scale, fields.Number("expert_weights_scale", 1.0f));
  out["n_group"] = groups;
  out["routed_scaling_factor"] = scale == 0 ? 1.0 : scale;
  out["scoring_func"] = gating == kSigmoid ? "sigmoid" : "softmax";
  out["topk_group"] = used;
  out["topk_method"] = gating == kSigmoid ? "noaux_tc"
                       : groups > 1       ? "group_limited_greedy"
                                          : "greedy";
  return {};
}

Result<void> PutRope(const Fields& fields, Json& out) {
  out["rope_scaling"] = nullptr;
  TESSERA_ASSIGN(out["rope_theta"], fields.Number("rope.freq_base", 10000.0f));
  TESSERA_ASSIGN(const auto* type, fields.Get<std::string>("rope.scaling.type"));
  if (type == nullptr || *type == "none") return {};
  if (*type != "yarn") {
    return Fail(
        Error(ErrorCode::kUnsupported, "positions are scaled in a way that is not supported")
            .Fact("key", "deepseek2.rope.scaling.type")
            .Expected("\"none\" or \"yarn\"")
            .Found(QuoteJson(*type)));
  }
  Json& yarn = out["rope_scaling"];
  TESSERA_ASSIGN(yarn["beta_fast"], fields.Number("rope.scaling.yarn_beta_fast", 32.0f));
  TESSERA_ASSIGN(yarn["beta_slow"], fields.Number("rope.scaling.yarn_beta_slow", 1.0f));
  TESSERA_ASSIGN(yarn["factor"], fields.Number("rope.scaling.factor"));
  // The arithmetic behind it has one number for what config.json calls by two names.
  TESSERA_ASSIGN(const auto* multiplier, fields.Get<float>("rope.scaling.yarn_log_multiplier"));
  if (multiplier != nullptr && *multiplier != 0) {
    yarn["mscale"] = TenTimes(*multiplier);
    yarn["mscale_all_dim"] = TenTimes(*multiplier);
  }
  TESSERA_ASSIGN(yarn["original_max_position_embeddings"],
                 fields.Count("rope.scaling.original_context_length"));
  yarn["type"] = "yarn";
  for (const char* field : {"yarn_ext_factor", "yarn_attn_factor"}) {
    const std::string key = "rope.scaling." + std::string(field);
    TESSERA_ASSIGN(const auto* value, fields.Get<float>(key));
    if (value) yarn[field] = ShortestDecimal(*value);
  }
  return {};
}

std::string_view TorchDtype(Dtype embedding) {
  if (embedding == Dtype::kF32) return "float32";
  return embedding == Dtype::kF16 ? "float16" : "bfloat16";
}

}  // namespace

double ShortestDecimal(float value) {
  std::array<char, 32> text;
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  double number = 0;
  std::from_chars(text.data(), written.ptr, number);
  return number;
}

Result<void> CheckGgufArchitecture(const GgufMetadata& metadata) {
  const auto* name = FindValue<std::string>(metadata, "general.architecture");
  if (name != nullptr && *name == kGgufArchitecture) return {};
  return Fail(Error(ErrorCode::kUnsupported,
                    name == nullptr ? "a GGUF file without a model"
                                    : "a GGUF file of an architecture that is not supported")
                  .Fact("key", "general.architecture")
                  .Expected("\"deepseek2\": DeepSeek-V2 to V3.1, R1, Kimi-K2, Moonlight")
                  .Found(name == nullptr ? "none" : QuoteJson(*name))
                  .Next("tessera inspect still lists its metadata and tensors"));
}

Result<Json> HfConfigOfGguf(const GgufMetadata& metadata, const GgufContents& contents) {
  const Fields fields(metadata);
  Json out;
  for (const CountField& field : kCounts) {
    TESSERA_ASSIGN(out[field.hf], fields.Count(field.gguf));
  }
  TESSERA_TRY(PutLayers(fields, out));
  TESSERA_TRY(PutHeads(fields, out));
  TESSERA_TRY(PutRouting(fields, out));
  TESSERA_TRY(PutRope(fields, out));
  TESSERA_ASSIGN(out["rms_norm_eps"], fields.Number("attention.layer_norm_rms_epsilon"));
  TESSERA_ASSIGN(const auto* vocabulary, fields.Get<uint32_t>("vocab_size"));
  out["vocab_size"] = vocabulary ? uint64_t{*vocabulary} : contents.vocabulary;
  const std::string version = out["scoring_func"] == "sigmoid" ? "3" : "2";
  out["architectures"] = Json::array({"DeepseekV" + version + "ForCausalLM"});
  out["attention_bias"] = false;
  out["attention_dropout"] = 0.0;
  out["hidden_act"] = "silu";
  out["initializer_range"] = 0.02;
  out["model_type"] = "deepseek_v" + version;
  out["moe_layer_freq"] = 1;
  out["tie_word_embeddings"] = false;
  out["torch_dtype"] = TorchDtype(contents.embedding);
  out["use_cache"] = true;
  for (const char* token : {"bos", "eos"}) {
    const auto* id =
        FindValue<uint32_t>(metadata, "tokenizer.ggml." + std::string(token) + "_token_id");
    if (id != nullptr) out[std::string(token) + "_token_id"] = *id;
  }
  return SortedByKey(out);
}

}  // namespace tessera
