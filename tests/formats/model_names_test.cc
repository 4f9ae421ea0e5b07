#include <gtest/gtest.h>

#include <ctime>
#include <set>

#include "formats/model_spec.h"
#include "tests/support/family_configs.h"

namespace tessera {
namespace {

// Every role of a whole checkpoint, the scale of every matrix, and the stray buffers.
std::vector<TensorRole> AllRoles(const ModelSpec& spec) {
  std::vector<TensorRole> roles;
  spec.ForEach([&](const TensorRole& role) {
    roles.push_back(role);
    if (role.part == Part::kWeight && spec.ShapeOf(role)->size() == 2) {
      roles.push_back(role);
      roles.back().part = Part::kScaleInv;
    }
  });
  for (uint32_t layer = 0; layer < spec.total_layers(); ++layer) {
    roles.push_back({.module = Module::kRotaryInvFreq,
                     .part = Part::kBuffer,
                     .layer = static_cast<int32_t>(layer)});
  }
  return roles;
}

TEST(ModelNames, ParseInvertsNameOfForEveryRoleOfEveryFamilyInBothStyles) {
  for (const auto& [family, config] : kFamilyConfigs) {
    const ModelSpec spec = SpecOf(config);
    for (const NameStyle style : {NameStyle::kHf, NameStyle::kDeepSeek}) {
      std::set<std::string> names;
      const std::vector<TensorRole> roles = AllRoles(spec);
      for (const TensorRole& role : roles) {
        const std::string name = spec.NameOf(role, style);
        ASSERT_EQ(spec.Parse(name, style), role) << Name(family) << " " << name;
        names.insert(name);
      }
      EXPECT_EQ(names.size(), roles.size()) << Name(family) << ": names are not unique";
    }
  }
}

TEST(ModelNames, DeepSeekSpellingIsThatOfTheDemosConverter) {
  const ModelSpec v32 = SpecOf(kV32Config);
  const ModelSpec v2_lite = SpecOf(kV2LiteConfig);
  const auto renamed = [](const ModelSpec& spec, std::string_view hf) {
    const auto role = spec.Parse(hf);
    return role ? spec.NameOf(*role, NameStyle::kDeepSeek) : "no such tensor";
  };
  const std::pair<const char*, const char*> want[] = {
      {"model.embed_tokens.weight", "embed.weight"},
      {"model.norm.weight", "norm.weight"},
      {"lm_head.weight", "head.weight"},
      {"model.layers.0.input_layernorm.weight", "layers.0.attn_norm.weight"},
      {"model.layers.0.post_attention_layernorm.weight", "layers.0.ffn_norm.weight"},
      {"model.layers.0.self_attn.q_a_proj.weight", "layers.0.attn.wq_a.weight"},
      {"model.layers.0.self_attn.q_a_proj.weight_scale_inv", "layers.0.attn.wq_a.scale"},
      {"model.layers.0.self_attn.q_a_layernorm.weight", "layers.0.attn.q_norm.weight"},
      {"model.layers.0.self_attn.q_b_proj.weight", "layers.0.attn.wq_b.weight"},
      {"model.layers.0.self_attn.kv_a_proj_with_mqa.weight", "layers.0.attn.wkv_a.weight"},
      {"model.layers.0.self_attn.kv_a_layernorm.weight", "layers.0.attn.kv_norm.weight"},
      {"model.layers.0.self_attn.kv_b_proj.weight", "layers.0.attn.wkv_b.weight"},
      {"model.layers.0.self_attn.o_proj.weight", "layers.0.attn.wo.weight"},
      {"model.layers.0.self_attn.indexer.wq_b.weight", "layers.0.attn.indexer.wq_b.weight"},
      {"model.layers.0.self_attn.indexer.k_norm.bias", "layers.0.attn.indexer.k_norm.bias"},
      {"model.layers.0.mlp.gate_proj.weight", "layers.0.ffn.w1.weight"},
      {"model.layers.0.mlp.down_proj.weight", "layers.0.ffn.w2.weight"},
      {"model.layers.0.mlp.up_proj.weight", "layers.0.ffn.w3.weight"},
      {"model.layers.3.mlp.gate.weight", "layers.3.ffn.gate.weight"},
      {"model.layers.3.mlp.gate.e_score_correction_bias", "layers.3.ffn.gate.bias"},
      {"model.layers.3.mlp.shared_experts.up_proj.weight", "layers.3.ffn.shared_experts.w3.weight"},
      {"model.layers.60.mlp.experts.255.down_proj.weight", "layers.60.ffn.experts.255.w2.weight"},
      {"model.layers.61.self_attn.o_proj.weight", "mtp.0.attn.wo.weight"},
      {"model.layers.61.embed_tokens.weight", "mtp.0.embed.weight"},
      {"model.layers.61.enorm.weight", "mtp.0.enorm.weight"},
      {"model.layers.61.shared_head.norm.weight", "mtp.0.norm.weight"},
      {"model.layers.61.shared_head.head.weight", "mtp.0.head.weight"},
  };
  for (const auto& [hf, deepseek] : want) EXPECT_EQ(renamed(v32, hf), deepseek);
  EXPECT_EQ(renamed(v2_lite, "model.layers.1.self_attn.q_proj.weight"), "layers.1.attn.wq.weight");
}

TEST(ModelNames, EveryPartOfAQuantizedMatrixHasANameOfItsOwn) {
  const ModelSpec v3 = SpecOf(kV3Config);
  const std::string stem = "model.layers.3.mlp.experts.17.down_proj.";
  for (const char* part :
       {"weight", "weight_packed", "qweight", "weight_scale_inv", "weight_scale",
        "weight_zero_point", "weight_shape", "weight_offset", "scales", "qzeros", "g_idx"}) {
    const auto role = v3.Parse(stem + part);
    ASSERT_TRUE(role) << part;
    EXPECT_EQ(v3.NameOf(*role), stem + part);
    EXPECT_EQ(PartOf(stem + part), role->part);
    EXPECT_EQ(role->expert, 17);
    EXPECT_TRUE(IsCodes(role->part) != IsBesideCodes(role->part)) << part;
  }
  // Under routed experts, in either spelling of the projection; written in the makers' one.
  const std::string experts = "model.layers.3.mlp.experts.17.";
  const auto role = v3.Parse(experts + "w2.input_scale");
  ASSERT_TRUE(role);
  EXPECT_EQ(v3.Parse(stem + "input_scale"), role);
  EXPECT_EQ(role->module, Module::kDownProj);
  EXPECT_EQ(v3.NameOf(*role), experts + "w2.input_scale");
  for (const char* name : {"model.layers.3.mlp.experts.17.w2.weight",
                           "model.layers.3.mlp.shared_experts.w2.input_scale",
                           "model.layers.3.self_attn.o_proj.input_scale",
                           "model.layers.3.input_layernorm.weight_packed"}) {
    EXPECT_FALSE(v3.Parse(name)) << name;
  }
  EXPECT_FALSE(v3.Parse("layers.3.attn.wo.", NameStyle::kDeepSeek));
  EXPECT_FALSE(v3.Parse("layers.3.attn.wo.weight_packed", NameStyle::kDeepSeek));
}

TEST(ModelNames, RefusesNamesThatTheModelDoesNotHave) {
  const ModelSpec v3 = SpecOf(kV3Config);
  for (const char* name : {"",
                           ".",
                           "weight",
                           "model.weight",
                           "model.layers.weight",
                           "model.layers..weight",
                           "model.layers.3",
                           "model.layers.3.",
                           "model.norm",
                           "model.norm.weight ",
                           " model.norm.weight",
                           "model.norm.weight.weight",
                           "norm.weight",
                           "lm_head.bias",
                           "model.lm_head.weight",
                           "model.norm.weight_scale_inv",
                           "model.norm.weight_scale",
                           "model.layers.03.input_layernorm.weight",
                           "model.layers.+3.input_layernorm.weight",
                           "model.layers.-1.input_layernorm.weight",
                           "model.layers.62.input_layernorm.weight",
                           "model.layers.4294967299.input_layernorm.weight",
                           "model.layers.3x.enorm.weight",
                           "model.layers.999999.input_layernorm.weight",
                           "model.layers.3.input_layernorm.bias",
                           "model.layers.0.mlp.gate.weight",
                           "model.layers.2.mlp.experts.0.gate_proj.weight",
                           "model.layers.2.mlp.shared_experts.gate_proj.weight",
                           "model.layers.3.mlp.gate_proj.weight",
                           "model.layers.3.mlp.experts.256.up_proj.weight",
                           "model.layers.3.mlp.experts.007.up_proj.weight",
                           "model.layers.3.mlp.experts.up_proj.weight",
                           "model.layers.3.mlp.experts.0.w1.weight",
                           "model.layers.3.mlp.gate.bias",
                           "model.layers.3.mlp.gate.e_score_correction_bias_scale",
                           "model.layers.3.self_attn.q_proj.weight",
                           "model.layers.3.self_attn.k_proj.weight",
                           "model.layers.3.self_attn.indexer.wk.weight",
                           "model.layers.3.self_attn.o_proj.bias",
                           "model.layers.3.self_attn.o_proj.weight_scales",
                           "model.layers.3.self_attn.o_proj.inv_freq",
                           "model.layers.3.self_attn.rotary_emb.weight",
                           "model.layers.60.enorm.weight",
                           "model.layers.60.embed_tokens.weight",
                           "model.layers.3.shared_head.head.weight",
                           "layers.3.attn.wo.weight",
                           "language_model.model.norm.weight"}) {
    EXPECT_EQ(v3.Parse(name), std::nullopt) << name;
  }
  for (const char* name :
       {"layers.61.attn.wo.weight", "mtp.1.attn.wo.weight", "mtp.00.norm.weight",
        "model.norm.weight", "layers.3.ffn.gate.e_score_correction_bias", "layers.3.attn.wo.bias",
        "layers.3.attn.wo.weight_scale_inv", "layers.3.ffn.w1.weight", "layers.0.norm.weight"}) {
    EXPECT_EQ(v3.Parse(name, NameStyle::kDeepSeek), std::nullopt) << name;
  }
  EXPECT_FALSE(SpecOf(kV2LiteConfig).Parse("model.layers.3.self_attn.q_a_proj.weight"));
  EXPECT_FALSE(SpecOf(kV2Config).Parse("model.layers.3.mlp.gate.e_score_correction_bias"));
  EXPECT_TRUE(SpecOf(kK2Config).Parse("model.layers.3.self_attn.rotary_emb.inv_freq"));
}

TEST(ModelNames, EveryTruncationOfANameIsRefused) {
  const ModelSpec spec = SpecOf(kV32Config);
  for (const std::string name : {"model.layers.17.mlp.experts.105.down_proj.weight_scale_inv",
                                 "model.layers.61.self_attn.indexer.k_norm.weight"}) {
    ASSERT_TRUE(spec.Parse(name));
    for (size_t n = 0; n < name.size(); ++n) {
      const std::string_view cut = std::string_view(name).substr(0, n);
      // A scale's weight is a name as well, and so is the scale of another format.
      if (cut.ends_with(".weight") || cut.ends_with(".weight_scale")) continue;
      EXPECT_EQ(spec.Parse(cut), std::nullopt) << cut;
    }
  }
}

TEST(ModelNames, ParsesAHundredThousandNamesInATenthOfASecond) {
  const ModelSpec spec = SpecOf(kK2Config);
  std::vector<std::string> names;
  for (const TensorRole& role : AllRoles(spec)) names.push_back(spec.NameOf(role));
  ASSERT_GT(names.size(), 100'000u);
  names.resize(100'000);
  const std::clock_t start = std::clock();
  size_t parsed = 0;
  for (const std::string& name : names) parsed += spec.Parse(name).has_value();
  const double milliseconds = 1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(parsed, names.size());
  RecordProperty("milliseconds", std::to_string(milliseconds));
#ifdef NDEBUG
  EXPECT_LT(milliseconds, 100.0);
#endif
}

}  // namespace
}  // namespace tessera
