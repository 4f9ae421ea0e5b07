#include "formats/gguf_names.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/family_configs.h"

namespace tessera {
namespace {

TEST(GgufNames, ParseInvertsNameOfForEveryTensorOfEveryFamily) {
  for (const auto& [family, config] : kFamilyConfigs) {
    const ModelSpec spec = SpecOf(config);
    std::set<std::string> names;
    std::set<GgufTensorRole> roles;
    spec.ForEach([&](TensorRole role) {
      for (uint32_t part = 0; part < (role.module == Module::kKvB ? 2u : 1u); ++part) {
        const std::optional<std::string> name = GgufNameOf(role, part);
        if (!name) {
          EXPECT_TRUE(spec.HasIndexer(static_cast<uint32_t>(role.layer))) << spec.NameOf(role);
          continue;
        }
        role.expert = -1;
        ASSERT_EQ(ParseGgufName(*name), (GgufTensorRole{role, part})) << *name;
        names.insert(*name);
        roles.insert({role, part});
      }
    });
    EXPECT_EQ(names.size(), roles.size()) << Name(family) << ": names are not unique";
  }
}

// The names that llama.cpp's loader asks for.
TEST(GgufNames, SpellingIsThatOfDeepseek2) {
  const ModelSpec v3 = SpecOf(kV3Config), v2_lite = SpecOf(kV2LiteConfig);
  const std::tuple<const ModelSpec*, const char*, uint32_t, const char*> want[] = {
      {&v3, "model.embed_tokens.weight", 0, "token_embd.weight"},
      {&v3, "model.norm.weight", 0, "output_norm.weight"},
      {&v3, "lm_head.weight", 0, "output.weight"},
      {&v3, "model.layers.7.input_layernorm.weight", 0, "blk.7.attn_norm.weight"},
      {&v3, "model.layers.7.post_attention_layernorm.weight", 0, "blk.7.ffn_norm.weight"},
      {&v2_lite, "model.layers.7.self_attn.q_proj.weight", 0, "blk.7.attn_q.weight"},
      {&v3, "model.layers.7.self_attn.q_a_proj.weight", 0, "blk.7.attn_q_a.weight"},
      {&v3, "model.layers.7.self_attn.q_a_layernorm.weight", 0, "blk.7.attn_q_a_norm.weight"},
      {&v3, "model.layers.7.self_attn.q_b_proj.weight", 0, "blk.7.attn_q_b.weight"},
      {&v3, "model.layers.7.self_attn.kv_a_proj_with_mqa.weight", 0, "blk.7.attn_kv_a_mqa.weight"},
      {&v3, "model.layers.7.self_attn.kv_a_layernorm.weight", 0, "blk.7.attn_kv_a_norm.weight"},
      {&v3, "model.layers.7.self_attn.kv_b_proj.weight", 0, "blk.7.attn_k_b.weight"},
      {&v3, "model.layers.7.self_attn.kv_b_proj.weight", 1, "blk.7.attn_v_b.weight"},
      {&v3, "model.layers.7.self_attn.o_proj.weight", 0, "blk.7.attn_output.weight"},
      {&v3, "model.layers.0.mlp.gate_proj.weight", 0, "blk.0.ffn_gate.weight"},
      {&v3, "model.layers.0.mlp.up_proj.weight", 0, "blk.0.ffn_up.weight"},
      {&v3, "model.layers.0.mlp.down_proj.weight", 0, "blk.0.ffn_down.weight"},
      {&v3, "model.layers.7.mlp.gate.weight", 0, "blk.7.ffn_gate_inp.weight"},
      {&v3, "model.layers.7.mlp.gate.e_score_correction_bias", 0, "blk.7.exp_probs_b.bias"},
      {&v3, "model.layers.7.mlp.experts.3.gate_proj.weight", 0, "blk.7.ffn_gate_exps.weight"},
      {&v3, "model.layers.7.mlp.experts.3.up_proj.weight", 0, "blk.7.ffn_up_exps.weight"},
      {&v3, "model.layers.7.mlp.experts.3.down_proj.weight", 0, "blk.7.ffn_down_exps.weight"},
      {&v3, "model.layers.7.mlp.shared_experts.gate_proj.weight", 0, "blk.7.ffn_gate_shexp.weight"},
      {&v3, "model.layers.7.mlp.shared_experts.up_proj.weight", 0, "blk.7.ffn_up_shexp.weight"},
      {&v3, "model.layers.7.mlp.shared_experts.down_proj.weight", 0, "blk.7.ffn_down_shexp.weight"},
      {&v3, "model.layers.61.embed_tokens.weight", 0, "blk.61.nextn.embed_tokens.weight"},
      {&v3, "model.layers.61.enorm.weight", 0, "blk.61.nextn.enorm.weight"},
      {&v3, "model.layers.61.hnorm.weight", 0, "blk.61.nextn.hnorm.weight"},
      {&v3, "model.layers.61.eh_proj.weight", 0, "blk.61.nextn.eh_proj.weight"},
      {&v3, "model.layers.61.shared_head.norm.weight", 0, "blk.61.nextn.shared_head_norm.weight"},
      {&v3, "model.layers.61.shared_head.head.weight", 0, "blk.61.nextn.shared_head_head.weight"},
  };
  for (const auto& [spec, hf, part, gguf] : want) {
    const std::optional<TensorRole> role = spec->Parse(hf);
    ASSERT_TRUE(role) << hf;
    EXPECT_EQ(GgufNameOf(*role, part), gguf);
  }
}

TEST(GgufNames, OtherNamesAreNotParsed) {
  for (const char* name :
       {"", "blk", "blk.", "blk.7", "blk.7.", "blk..attn_q.weight", "blk.07.attn_q.weight",
        "blk.-7.attn_q.weight", "blk.+7.attn_q.weight", "blk.99999999999.attn_q.weight",
        "blk.7attn_q.weight", "blk.7.attn_q", "blk.7.attn_q.weight ", "blk.7.token_embd.weight",
        "attn_q.weight", "blk.7.attn_kv_b.weight", "blk.7.exp_probs_b.weight",
        "model.layers.7.self_attn.q_proj.weight"}) {
    EXPECT_FALSE(ParseGgufName(name)) << name;
  }
}

TEST(GgufNames, WhatTheArchitectureHasNoPlaceForHasNoName) {
  const ModelSpec v32 = SpecOf(kV32Config);
  for (const char* name : {"model.layers.0.self_attn.indexer.wq_b.weight",
                           "model.layers.0.self_attn.indexer.k_norm.bias",
                           "model.layers.0.self_attn.rotary_emb.inv_freq",
                           "model.layers.0.self_attn.o_proj.weight_scale_inv"}) {
    const std::optional<TensorRole> role = v32.Parse(name);
    ASSERT_TRUE(role) << name;
    EXPECT_FALSE(GgufNameOf(*role)) << name;
  }
}

}  // namespace
}  // namespace tessera
