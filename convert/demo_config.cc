#include "convert/demo_config.h"

#include <string>

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
    // The demo stretches positions as soon as it runs longer than this.
    out["original_seq_len"] = config["max_position_embeddings"];
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

}  // namespace

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
  }
  return out;
}

}  // namespace tessera
