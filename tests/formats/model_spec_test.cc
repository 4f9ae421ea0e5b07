#include "formats/model_spec.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "tests/support/family_configs.h"

namespace tessera {
namespace {

std::vector<TensorRole> Roles(const ModelSpec& spec) {
  std::vector<TensorRole> roles;
  spec.ForEach([&](const TensorRole& role) { roles.push_back(role); });
  return roles;
}

Json Edited(std::string_view config, const std::string& field, Json value) {
  Json json = ParseJson(config).value();
  json[field] = std::move(value);
  return json;
}

// The linears that DeepSeek stores in FP8: neither embeddings nor router, eh_proj, weights_proj.
bool IsFp8(const ModelSpec& spec, const TensorRole& role) {
  if (role.part != Part::kWeight || spec.ShapeOf(role)->size() != 2) return false;
  switch (role.module) {
    case Module::kEmbedTokens:
    case Module::kLmHead:
    case Module::kRouter:
    case Module::kIndexerWeightsProj:
    case Module::kMtpEmbedTokens:
    case Module::kMtpEhProj:
    case Module::kMtpHead:
      return false;
    default:
      return true;
  }
}

uint64_t Elements(const Shape& shape) {
  uint64_t n = 1;
  for (const uint64_t dim : shape) n *= dim;
  return n;
}

TEST(ModelSpec, EveryFamilyIsRecognisedFromItsConfig) {
  for (const auto& [family, config] : kFamilyConfigs) {
    const Result<ModelSpec> spec = ModelSpec::FromConfig(ParseJson(config).value());
    ASSERT_TRUE(spec.has_value()) << Name(family) << ": " << spec.error().Text();
    EXPECT_EQ(Name(spec->family()), Name(family));
  }
}

TEST(ModelSpec, CountsTensorsAsTheReleasedCheckpointsDo) {
  struct Case {
    std::string_view config;
    size_t plain, fp8;
  };
  // V3 and V3.2 from the releases' header reports; K2's without its 61 stray buffers.
  for (const Case& c : {Case{kV3Config, 46183, 45808}, Case{kV31Config, 46183, 45808},
                        Case{kV32Config, 46183 + 62 * 5, 45808 + 62 * 2},
                        Case{kK2Config, 69975, 139644 - 61 - 69975}}) {
    const ModelSpec spec = SpecOf(c.config);
    size_t plain = 0, fp8 = 0;
    for (const TensorRole& role : Roles(spec)) {
      ++plain;
      fp8 += IsFp8(spec, role);
    }
    EXPECT_EQ(plain, c.plain) << Name(spec.family());
    EXPECT_EQ(fp8, c.fp8) << Name(spec.family());
  }
  EXPECT_EQ(46183 + 62 * 5 + 45808 + 62 * 2, 92425);
}

TEST(ModelSpec, CountsElementsAsTheReleasedV3Does) {
  const ModelSpec spec = SpecOf(kV3Config);
  uint64_t fp8 = 0, bf16 = 0, bias = 0;
  for (const TensorRole& role : Roles(spec)) {
    const uint64_t n = Elements(*spec.ShapeOf(role));
    (IsFp8(spec, role) ? fp8 : role.part == Part::kRouterBias ? bias : bf16) += n;
  }
  EXPECT_EQ(fp8, 680'571'043'840u);
  EXPECT_EQ(2 * bf16, 7'837'573'120u);
  EXPECT_EQ(4 * bias, 60'416u);
}

TEST(ModelSpec, ShapesFollowEachFamilysDimensions) {
  const auto shape = [](std::string_view config, std::string_view name) {
    const ModelSpec spec = SpecOf(config);
    const auto role = spec.Parse(name);
    return role ? ToString(*spec.ShapeOf(*role)) : "no such tensor";
  };
  const std::string a = "model.layers.5.self_attn.", m = "model.layers.5.mlp.";
  EXPECT_EQ(shape(kV2LiteConfig, a + "q_proj.weight"), "[3072, 2048]");
  EXPECT_EQ(shape(kV2LiteConfig, m + "shared_experts.gate_proj.weight"), "[2816, 2048]");
  EXPECT_EQ(shape(kV2LiteConfig, m + "experts.63.down_proj.weight"), "[2048, 1408]");
  EXPECT_EQ(shape(kGlm5Config, a + "q_b_proj.weight"), "[16384, 2048]");
  EXPECT_EQ(shape(kGlm5Config, a + "kv_b_proj.weight"), "[28672, 512]");
  EXPECT_EQ(shape(kGlm5Config, a + "o_proj.weight"), "[6144, 16384]");
  EXPECT_EQ(shape(kGlm5Config, a + "indexer.weights_proj.weight"), "[32, 6144]");
  EXPECT_EQ(shape(kV32Config, a + "indexer.wq_b.weight"), "[8192, 1536]");
  EXPECT_EQ(shape(kV32Config, a + "indexer.wk.weight"), "[128, 7168]");
  EXPECT_EQ(shape(kV32Config, a + "indexer.k_norm.weight"), "[128]");
  EXPECT_EQ(shape(kV32Config, a + "indexer.k_norm.bias"), "[128]");
  EXPECT_EQ(shape(kV3Config, a + "kv_a_proj_with_mqa.weight"), "[576, 7168]");
  EXPECT_EQ(shape(kV3Config, m + "gate.weight"), "[256, 7168]");
  EXPECT_EQ(shape(kV3Config, m + "gate.e_score_correction_bias"), "[256]");
  EXPECT_EQ(shape(kV3Config, "model.layers.61.eh_proj.weight"), "[7168, 14336]");
  const ModelSpec v3 = SpecOf(kV3Config);
  EXPECT_EQ(v3.ShapeOf(*v3.Parse(a + "o_proj.weight_scale_inv")), std::nullopt);
}

TEST(ModelSpec, TiedEmbeddingsNeedNoHead) {
  const ModelSpec spec =
      ModelSpec::FromConfig(Edited(kV3Config, "tie_word_embeddings", true)).value();
  EXPECT_EQ(Roles(spec).size(), 46182u);
  const auto head = spec.Parse("lm_head.weight");
  ASSERT_TRUE(head.has_value());
  EXPECT_TRUE(spec.IsOptional(*head));
}

TEST(ModelSpec, MtpFollowsTheConfigWhateverTheNumberOfLayers) {
  Json config = Edited(kV3Config, "num_nextn_predict_layers", 2);
  config["num_hidden_layers"] = 70;
  const ModelSpec spec = ModelSpec::FromConfig(config).value();
  EXPECT_FALSE(spec.IsMtp(*spec.Parse("model.layers.61.self_attn.o_proj.weight")));
  EXPECT_TRUE(spec.IsMtp(*spec.Parse("model.layers.71.eh_proj.weight")));
  EXPECT_FALSE(spec.Parse("model.layers.61.eh_proj.weight"));
  config["num_nextn_predict_layers"] = nullptr;
  EXPECT_EQ(ModelSpec::FromConfig(config)->total_layers(), 70u);
}

TEST(ModelSpec, SharedIndexerLayersHaveNoIndexerTensors) {
  Json types = Json::array();
  for (int i = 0; i < 78; ++i) types.push_back(i < 3 || i % 4 == 2 ? "full" : "shared");
  const ModelSpec spec = ModelSpec::FromConfig(Edited(kGlm5Config, "indexer_types", types)).value();
  EXPECT_TRUE(spec.Parse("model.layers.2.self_attn.indexer.wk.weight"));
  EXPECT_FALSE(spec.Parse("model.layers.3.self_attn.indexer.wk.weight"));
  EXPECT_TRUE(spec.Parse("model.layers.78.self_attn.indexer.wk.weight"));  // MTP: not listed
  EXPECT_EQ(Roles(SpecOf(kGlm5Config)).size() - Roles(spec).size(), 57u * 5);
}

TEST(ModelSpec, MoeLayersFollowFirstDenseAndFrequency) {
  const ModelSpec spec = ModelSpec::FromConfig(Edited(kV3Config, "moe_layer_freq", 2)).value();
  for (uint32_t layer = 0; layer < 62; ++layer) {
    EXPECT_EQ(spec.IsMoeLayer(layer), layer >= 3 && layer % 2 == 0) << layer;
  }
}

TEST(ModelSpec, RefusesForeignModelTypesListingTheKnownOnes) {
  for (const char* type : {"deepseek_v4", "kimi_k25", "llama", "DeepSeek_V3", ""}) {
    const auto spec = ModelSpec::FromConfig(Edited(kV3Config, "model_type", type));
    ASSERT_FALSE(spec.has_value()) << type;
    EXPECT_EQ(spec.error().code(), ErrorCode::kUnknownModelType);
    EXPECT_NE(spec.error().Text().find("deepseek_v32, kimi_k2, glm_moe_dsa"), std::string::npos);
  }
  const auto wrapped = ModelSpec::FromConfig(
      ParseJson(R"({"model_type": "kimi_k25", "text_config": {"model_type": "kimi_k2"}})").value());
  EXPECT_EQ(wrapped.error().code(), ErrorCode::kUnknownModelType);
  EXPECT_NE(wrapped.error().what().find("text_config"), std::string::npos);
  EXPECT_FALSE(ModelSpec::FromConfig(Json::object()).has_value());
  EXPECT_FALSE(ModelSpec::FromConfig(Json::array()).has_value());
}

TEST(ModelSpec, RefusesEveryBadValueNamingItsField) {
  const Json bad[] = {nullptr, -1, 1.5, 61.0, "61", true, Json::array({61}), 1ull << 40};
  for (const char* field :
       {"hidden_size", "num_hidden_layers", "first_k_dense_replace", "intermediate_size",
        "moe_intermediate_size", "n_routed_experts", "num_experts_per_tok", "num_attention_heads",
        "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "vocab_size",
        "moe_layer_freq", "index_head_dim", "index_n_heads", "index_topk"}) {
    for (const Json& value : bad) {
      const auto spec = ModelSpec::FromConfig(Edited(kV32Config, field, value));
      ASSERT_FALSE(spec.has_value()) << field << " = " << value.dump();
      EXPECT_EQ(spec.error().code(), ErrorCode::kBadConfig);
      EXPECT_NE(spec.error().what().find(field), std::string::npos) << spec.error().Text();
    }
  }
}

TEST(ModelSpec, RefusesFieldsThatContradictEachOther) {
  const auto field = [](std::string_view config, const char* name, Json value) {
    const auto spec = ModelSpec::FromConfig(Edited(config, name, std::move(value)));
    return spec ? "accepted" : spec.error().what();
  };
  const auto names = [](const std::string& what) {
    return what.substr(13, what.find(' ', 13) - 13);
  };
  EXPECT_EQ(names(field(kV3Config, "first_k_dense_replace", 62)), "first_k_dense_replace");
  EXPECT_EQ(field(kV3Config, "first_k_dense_replace", 61), "accepted");
  EXPECT_EQ(names(field(kV3Config, "num_experts_per_tok", 257)), "num_experts_per_tok");
  EXPECT_EQ(names(field(kV3Config, "n_routed_experts", 65536)), "n_routed_experts");
  EXPECT_EQ(names(field(kV3Config, "topk_method", "topmost")), "topk_method");
  EXPECT_EQ(names(field(kV3Config, "attention_bias", true)), "attention_bias");
  EXPECT_EQ(names(field(kV32Config, "q_lora_rank", nullptr)), "q_lora_rank");
  EXPECT_EQ(names(field(kGlm5Config, "indexer_types", Json::array({"full"}))), "indexer_types");
}

// The complete list of the released V3, from the layout script, where it is at hand.
TEST(ModelSpec, NamesAndShapesExactlyTheReleasedV3Tensors) {
  namespace fs = std::filesystem;
  const fs::path script = fs::path(TESSERA_TEST_DIR) / "../../shared/data/v3_layout.py";
  if (!fs::exists(script)) GTEST_SKIP() << script << " is not here";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      ::popen(("python3 " + script.string() + " tensors").c_str(), "r"), ::pclose);
  std::string text(1 << 16, '\0'), list;
  while (const size_t n = std::fread(text.data(), 1, text.size(), pipe.get())) {
    list.append(text, 0, n);
  }

  const ModelSpec spec = SpecOf(kV3Config);
  std::set<TensorRole> released;
  std::istringstream lines(list);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name, dtype, dims;
    fields >> name >> dtype >> dims;
    const auto role = spec.Parse(name);
    ASSERT_TRUE(role.has_value()) << name;
    EXPECT_EQ(spec.NameOf(*role), name);
    released.insert(*role);
    if (role->part == Part::kScaleInv) continue;
    std::string shape = ToString(*spec.ShapeOf(*role));
    std::erase_if(shape, [](char c) { return c == '[' || c == ' ' || c == ']'; });
    EXPECT_EQ(shape, dims) << name;
    EXPECT_EQ(IsFp8(spec, *role), dtype == "F8_E4M3") << name;
  }
  std::set<TensorRole> implied;
  for (TensorRole role : Roles(spec)) {
    implied.insert(role);
    if (!IsFp8(spec, role)) continue;
    role.part = Part::kScaleInv;
    implied.insert(role);
  }
  EXPECT_EQ(released.size(), 91991u);
  EXPECT_TRUE(released == implied);
}

}  // namespace
}  // namespace tessera
