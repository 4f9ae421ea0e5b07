#include "formats/demo_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera {
namespace {

// Writes a field unless it has the demo's own default.
void PutUnless(Json& out, const char* name, const Json& value, const Json& demo_default) {
  if (value != demo_default) out[name] = value;
}

void PutRope(const Json& config, Json& out) {
  // transformers 5 gathers everything about positions in rope_parameters.
  const Json empty = Json::object();
  const Json& newer = config.contains("rope_parameters") ? config["rope_parameters"] : empty;
  const bool scaled = config.contains("rope_scaling") && config["rope_scaling"].is_object();
  const Json& yarn = scaled ? config["rope_scaling"] : newer;
  const auto get = [](const Json& from, const char* name, const Json& otherwise) {
    return from.contains(name) ? from[name] : otherwise;
  };
  if (yarn.contains("factor")) {
    PutUnless(out, "original_seq_len", get(yarn, "original_max_position_embeddings", 4096), 4096);
  } else if (config.contains("max_position_embeddings")) {
    // As soon as the demo runs longer than this it stretches positions, by 40 unless told: by 1 is
    // not at all.
    out["original_seq_len"] = config["max_position_embeddings"];
    out["rope_factor"] = 1;
  }
  const Json theta = get(newer, "rope_theta", get(config, "rope_theta", 10000));
  PutUnless(out, "rope_theta", theta, 10000);
  if (!yarn.contains("factor")) return;
  PutUnless(out, "rope_factor", yarn["factor"], 40);
  PutUnless(out, "beta_fast", get(yarn, "beta_fast", 32), 32);
  PutUnless(out, "beta_slow", get(yarn, "beta_slow", 1), 1);
  // The demo's one mscale acts on the softmax scale, as mscale_all_dim does here.
  PutUnless(out, "mscale", get(yarn, "mscale_all_dim", get(yarn, "mscale", 1)), 1);
}

struct DemoField {
  const char* name;
  Json otherwise;  // the demo's default
};

const std::vector<DemoField>& DemoFields() {
  static const std::vector<DemoField> fields = {
      {"max_batch_size", 8},
      {"max_seq_len", 16384},
      {"dtype", "bf16"},
      {"scale_fmt", nullptr},
      {"vocab_size", 102400},
      {"dim", 2048},
      {"inter_dim", 10944},
      {"moe_inter_dim", 1408},
      {"n_layers", 27},
      {"n_dense_layers", 1},
      {"n_heads", 16},
      {"n_routed_experts", 64},
      {"n_shared_experts", 2},
      {"n_activated_experts", 6},
      {"n_expert_groups", 1},
      {"n_limited_groups", 1},
      {"score_func", "softmax"},
      {"route_scale", 1.0},
      {"q_lora_rank", 0},
      {"kv_lora_rank", 512},
      {"qk_nope_head_dim", 128},
      {"qk_rope_head_dim", 64},
      {"v_head_dim", 128},
      {"original_seq_len", 4096},
      {"rope_theta", 10000},
      {"rope_factor", 40},
      {"beta_fast", 32},
      {"beta_slow", 1},
      {"mscale", 1.0},
      {"index_n_heads", 64},
      {"index_head_dim", 128},
      {"index_topk", 2048},
      // Not fields of the demo, which fixes them in code: it stops at a model that needs another
      // value, instead of running a different one.
      {"rms_norm_eps", 1e-6},
      {"norm_topk_prob", nullptr},
      {"indexer_rope_interleave", false},
  };
  return fields;
}

std::unexpected<Error> BadDemoField(std::string_view field, std::string expected,
                                    const Json& found) {
  return Fail(
      Error(ErrorCode::kBadConfig, "the demo's config: " + std::string(field) + " cannot be used")
          .Expected(std::move(expected))
          .Found(found.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

// Every field of the demo's, the ones left out with their defaults.
Result<Json> CompleteDemo(const Json& demo) {
  Json all;
  for (const DemoField& field : DemoFields()) all[field.name] = field.otherwise;
  for (const auto& [name, value] : demo.items()) {
    if (!all.contains(name)) {
      return Fail(Error(ErrorCode::kBadConfig,
                        "config.json is neither a Hugging Face one, which "
                        "has a model_type, nor one of DeepSeek's demo")
                      .Expected("only fields of the demo's ModelArgs")
                      .Found(name)
                      .Next("give the model's Hugging Face config.json with --config"));
    }
    all[name] = value;
  }
  for (const char* field : {"original_seq_len", "rope_factor"}) {
    const Json& value = all[field];
    if (!value.is_number() || !(value.get<double>() > 0 && value.get<double>() < 1e9)) {
      return BadDemoField(field, "a number above 0", value);
    }
  }
  const auto one_of = [&](const char* field, const Json& choices) -> Result<void> {
    for (const Json& choice : choices) {
      if (all[field] == choice) return {};
    }
    return BadDemoField(field, "one of " + choices.dump(), all[field]);
  };
  TESSERA_TRY(one_of("score_func", {"softmax", "sigmoid"}));
  TESSERA_TRY(one_of("dtype", {"bf16", "fp8"}));
  TESSERA_TRY(one_of("scale_fmt", {nullptr, "ue8m0"}));
  return all;
}

// A stretch by 1 is none; the demo has no other way to say so.
void PutHfRope(const Json& demo, Json& out) {
  const double factor = demo["rope_factor"].get<double>();
  const double longest = demo["original_seq_len"].get<double>() * factor;
  out["max_position_embeddings"] = static_cast<uint64_t>(std::llround(longest));
  out["rope_scaling"] = nullptr;
  out["rope_theta"] = demo["rope_theta"];
  if (factor == 1) return;
  out["rope_scaling"] = {{"beta_fast", demo["beta_fast"]},
                         {"beta_slow", demo["beta_slow"]},
                         {"factor", demo["rope_factor"]},
                         {"mscale", demo["mscale"]},
                         {"mscale_all_dim", demo["mscale"]},
                         {"original_max_position_embeddings", demo["original_seq_len"]},
                         {"type", "yarn"}};
}

void PutHfRouting(const Json& demo, Json& out) {
  const bool sigmoid = demo["score_func"] == "sigmoid";
  const bool grouped = demo["n_expert_groups"] != 1;
  out["n_group"] = demo["n_expert_groups"];
  out["norm_topk_prob"] = demo["norm_topk_prob"].is_null() ? Json(sigmoid) : demo["norm_topk_prob"];
  out["num_experts_per_tok"] = demo["n_activated_experts"];
  out["routed_scaling_factor"] = demo["route_scale"];
  out["scoring_func"] = demo["score_func"];
  out["topk_group"] = demo["n_limited_groups"];
  out["topk_method"] = sigmoid ? "noaux_tc" : grouped ? "group_limited_greedy" : "greedy";
}

void PutHfShapes(const Json& demo, Json& out) {
  constexpr std::pair<const char*, const char*> kFields[] = {
      {"first_k_dense_replace", "n_dense_layers"},
      {"hidden_size", "dim"},
      {"intermediate_size", "inter_dim"},
      {"kv_lora_rank", "kv_lora_rank"},
      {"moe_intermediate_size", "moe_inter_dim"},
      {"n_routed_experts", "n_routed_experts"},
      {"n_shared_experts", "n_shared_experts"},
      {"num_attention_heads", "n_heads"},
      {"num_hidden_layers", "n_layers"},
      {"num_key_value_heads", "n_heads"},
      {"q_lora_rank", "q_lora_rank"},
      {"qk_nope_head_dim", "qk_nope_head_dim"},
      {"qk_rope_head_dim", "qk_rope_head_dim"},
      {"v_head_dim", "v_head_dim"},
      {"vocab_size", "vocab_size"},
  };
  for (const auto& [hf, name] : kFields) out[hf] = demo[name];
  if (out["q_lora_rank"] == 0) out["q_lora_rank"] = nullptr;
}

}  // namespace

Json SortedByKey(const Json& json) {
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items()) names.push_back(name);
  std::ranges::sort(names);
  Json sorted;
  for (const std::string& name : names) sorted[name] = json[name];
  return sorted;
}

Result<Json> HfConfig(const Json& demo, const DemoContents& contents) {
  if (!demo.is_object()) {
    return Fail(Error(ErrorCode::kBadConfig, "config.json is not an object")
                    .Found(std::string(demo.type_name())));
  }
  TESSERA_ASSIGN(const Json all, CompleteDemo(demo));
  const bool indexer = contents.indexer || demo.contains("index_topk");
  const std::string version = indexer ? "32" : all["score_func"] == "sigmoid" ? "3" : "2";
  Json out;
  out["architectures"] = Json::array({"DeepseekV" + version + "ForCausalLM"});
  out["attention_bias"] = false;
  out["attention_dropout"] = 0.0;
  out["hidden_act"] = "silu";
  out["initializer_range"] = 0.02;
  out["model_type"] = "deepseek_v" + version;
  out["moe_layer_freq"] = 1;
  out["num_nextn_predict_layers"] = contents.mtp_layers;
  out["rms_norm_eps"] = all["rms_norm_eps"];
  out["tie_word_embeddings"] = false;
  out["torch_dtype"] = contents.torch_dtype;
  out["use_cache"] = true;
  PutHfShapes(all, out);
  PutHfRouting(all, out);
  PutHfRope(all, out);
  if (indexer) {
    for (const char* field : {"index_head_dim", "index_n_heads", "index_topk"}) {
      out[field] = all[field];
    }
    if (all["indexer_rope_interleave"] == true) out["indexer_rope_interleave"] = true;
  }
  if (all["dtype"] == "fp8") {
    Json& quantization = out["quantization_config"];
    quantization["activation_scheme"] = "dynamic";
    quantization["fmt"] = "e4m3";
    quantization["quant_method"] = "fp8";
    if (!all["scale_fmt"].is_null()) quantization["scale_fmt"] = all["scale_fmt"];
    quantization["weight_block_size"] = {128, 128};
  }
  return SortedByKey(out);
}

Result<Json> DemoConfig(const Json& config, const ModelSpec& spec, bool fp8, bool ue8m0) {
  for (const char* field : {"routed_scaling_factor", "scoring_func"}) {
    if (config.contains(field)) continue;
    return Fail(Error(ErrorCode::kBadConfig, "config.json lacks what the demo's config needs")
                    .Expected(field));
  }
  Json out;
  out["vocab_size"] = spec.vocab_size;
  out["dim"] = spec.hidden_size;
  out["inter_dim"] = spec.intermediate_size;
  out["moe_inter_dim"] = spec.moe_intermediate_size;
  out["n_layers"] = spec.num_hidden_layers;
  out["n_dense_layers"] = spec.first_k_dense_replace;
  out["n_heads"] = spec.num_attention_heads;
  out["n_routed_experts"] = spec.n_routed_experts;
  out["n_shared_experts"] = spec.n_shared_experts;
  out["n_activated_experts"] = spec.num_experts_per_tok;
  PutUnless(out, "n_expert_groups", config.value("n_group", Json(1)), 1);
  PutUnless(out, "n_limited_groups", config.value("topk_group", Json(1)), 1);
  out["route_scale"] = config["routed_scaling_factor"];
  PutUnless(out, "score_func", config["scoring_func"], "softmax");
  out["q_lora_rank"] = spec.q_lora_rank;
  out["kv_lora_rank"] = spec.kv_lora_rank;
  out["qk_nope_head_dim"] = spec.qk_nope_head_dim;
  out["qk_rope_head_dim"] = spec.qk_rope_head_dim;
  out["v_head_dim"] = spec.v_head_dim;
  PutRope(config, out);
  if (fp8) out["dtype"] = "fp8";
  if (fp8 && ue8m0) out["scale_fmt"] = "ue8m0";
  if (spec.index_topk != 0) {
    out["index_n_heads"] = spec.index_n_heads;
    out["index_head_dim"] = spec.index_head_dim;
    out["index_topk"] = spec.index_topk;
    PutUnless(out, "indexer_rope_interleave",
              config.value("indexer_rope_interleave", Json(spec.family() == Family::kGlm5)), false);
  }
  PutUnless(out, "rms_norm_eps", config.value("rms_norm_eps", Json(1e-6)), 1e-6);
  const Json sigmoid = config["scoring_func"] == "sigmoid";
  PutUnless(out, "norm_topk_prob", config.value("norm_topk_prob", sigmoid), sigmoid);
  return out;
}

}  // namespace tessera
