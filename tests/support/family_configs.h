// The fields of the released models' config.json files that name and shape tensors.
#pragma once

#include <string_view>
#include <vector>

#include "formats/model_spec.h"

namespace tessera {

struct FamilyConfig {
  Family family;
  std::string_view config;
};

inline constexpr std::string_view kV2Config = R"({
  "model_type": "deepseek_v2", "hidden_size": 5120, "num_hidden_layers": 60,
  "first_k_dense_replace": 1, "moe_layer_freq": 1, "intermediate_size": 12288,
  "moe_intermediate_size": 1536, "n_routed_experts": 160, "n_shared_experts": 2,
  "num_experts_per_tok": 6, "num_attention_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 102400,
  "topk_method": "group_limited_greedy", "tie_word_embeddings": false})";

inline constexpr std::string_view kV2LiteConfig = R"({
  "model_type": "deepseek_v2", "hidden_size": 2048, "num_hidden_layers": 27,
  "first_k_dense_replace": 1, "moe_layer_freq": 1, "intermediate_size": 10944,
  "moe_intermediate_size": 1408, "n_routed_experts": 64, "n_shared_experts": 2,
  "num_experts_per_tok": 6, "num_attention_heads": 16, "q_lora_rank": null, "kv_lora_rank": 512,
  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 102400,
  "topk_method": "greedy", "tie_word_embeddings": false})";

inline constexpr std::string_view kV3Config = R"({
  "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61,
  "num_nextn_predict_layers": 1, "first_k_dense_replace": 3, "moe_layer_freq": 1,
  "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256,
  "n_shared_experts": 1, "num_experts_per_tok": 8, "num_attention_heads": 128,
  "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "vocab_size": 129280, "topk_method": "noaux_tc",
  "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})";

inline constexpr std::string_view kV31Config = R"({
  "model_type": "deepseek_v3", "hidden_size": 7168, "num_hidden_layers": 61,
  "num_nextn_predict_layers": 1, "first_k_dense_replace": 3, "moe_layer_freq": 1,
  "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256,
  "n_shared_experts": 1, "num_experts_per_tok": 8, "num_attention_heads": 128,
  "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "vocab_size": 129280, "topk_method": "noaux_tc",
  "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0",
                          "weight_block_size": [128, 128]}})";

inline constexpr std::string_view kV32Config = R"({
  "model_type": "deepseek_v32", "hidden_size": 7168, "num_hidden_layers": 61,
  "num_nextn_predict_layers": 1, "first_k_dense_replace": 3, "moe_layer_freq": 1,
  "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256,
  "n_shared_experts": 1, "num_experts_per_tok": 8, "num_attention_heads": 128,
  "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "vocab_size": 129280, "topk_method": "noaux_tc",
  "index_head_dim": 128, "index_n_heads": 64, "index_topk": 2048,
  "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0",
                          "weight_block_size": [128, 128]}})";

inline constexpr std::string_view kK2Config = R"({
  "model_type": "kimi_k2", "hidden_size": 7168, "num_hidden_layers": 61,
  "num_nextn_predict_layers": 0, "first_k_dense_replace": 1, "moe_layer_freq": 1,
  "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 384,
  "n_shared_experts": 1, "num_experts_per_tok": 8, "num_attention_heads": 64,
  "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "vocab_size": 163840, "topk_method": "noaux_tc",
  "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})";

inline constexpr std::string_view kMoonlightConfig = R"({
  "model_type": "deepseek_v3", "hidden_size": 2048, "num_hidden_layers": 27,
  "num_nextn_predict_layers": 0, "first_k_dense_replace": 1, "moe_layer_freq": 1,
  "intermediate_size": 11264, "moe_intermediate_size": 1408, "n_routed_experts": 64,
  "n_shared_experts": 2, "num_experts_per_tok": 6, "num_attention_heads": 16,
  "q_lora_rank": null, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
  "v_head_dim": 128, "vocab_size": 163840, "topk_method": "noaux_tc"})";

inline constexpr std::string_view kGlm5Config = R"({
  "model_type": "glm_moe_dsa", "hidden_size": 6144, "num_hidden_layers": 78,
  "num_nextn_predict_layers": 1, "first_k_dense_replace": 3, "moe_layer_freq": 1,
  "intermediate_size": 12288, "moe_intermediate_size": 2048, "n_routed_experts": 256,
  "n_shared_experts": 1, "num_experts_per_tok": 8, "num_attention_heads": 64,
  "q_lora_rank": 2048, "kv_lora_rank": 512, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64,
  "v_head_dim": 256, "vocab_size": 154880, "topk_method": "noaux_tc",
  "index_head_dim": 128, "index_n_heads": 32, "index_topk": 2048,
  "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"}})";

inline constexpr FamilyConfig kFamilyConfigs[] = {
    {Family::kV2, kV2Config},
    {Family::kV2Lite, kV2LiteConfig},
    {Family::kV3, kV3Config},
    {Family::kV31, kV31Config},
    {Family::kV32, kV32Config},
    {Family::kK2, kK2Config},
    {Family::kMoonlight, kMoonlightConfig},
    {Family::kGlm5, kGlm5Config},
};

inline ModelSpec SpecOf(std::string_view config) {
  return ModelSpec::FromConfig(ParseJson(config).value()).value();
}

}  // namespace tessera
