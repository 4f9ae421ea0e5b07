#include <gtest/gtest.h>

#include <map>

#include "formats/model_spec.h"
#include "formats/safetensors.h"
#include "tests/support/family_configs.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

// V3 in miniature: a dense layer, a MoE layer, an MTP layer.
constexpr std::string_view kMiniConfig = R"({
  "model_type": "deepseek_v3", "hidden_size": 8, "num_hidden_layers": 2,
  "num_nextn_predict_layers": 1, "first_k_dense_replace": 1, "intermediate_size": 6,
  "moe_intermediate_size": 4, "n_routed_experts": 3, "n_shared_experts": 1,
  "num_experts_per_tok": 2, "num_attention_heads": 2, "q_lora_rank": 4, "kv_lora_rank": 4,
  "qk_nope_head_dim": 2, "qk_rope_head_dim": 2, "v_head_dim": 2, "vocab_size": 10,
  "topk_method": "noaux_tc"})";

class Completeness : public testing::Test {
 protected:
  Completeness() {
    spec_.ForEach([&](const TensorRole& role) {
      tensors_[spec_.NameOf(role)] = {Dtype::kBF16, *spec_.ShapeOf(role)};
    });
  }

  // Removes what `predicate` holds for.
  template <class Predicate>
  void Drop(Predicate predicate) {
    std::erase_if(tensors_, [&](const auto& tensor) { return predicate(tensor.first); });
  }

  CompletenessReport Check(size_t limit = 100) const { return Check(kMiniConfig, limit); }

  CompletenessReport Check(std::string_view config, size_t limit = 100) const {
    std::vector<TensorInfo> infos;
    std::vector<const TensorInfo*> pointers;
    uint64_t bytes = 0;
    for (const auto& [name, what] : tensors_) {
      infos.push_back(TensorInfo::Make(name, what.first, what.second).value());
      bytes += infos.back().bytes();
    }
    for (const TensorInfo& info : infos) pointers.push_back(&info);
    const TempDir dir;
    dir.Write("model.safetensors",
              RenderSafetensorsHeader(pointers, {}).value() + std::string(bytes, '\0'));
    dir.Write("config.json", config);
    const Result<Checkpoint> checkpoint = Checkpoint::Open(dir.path());
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().Text();
    return CheckCompleteness(ModelSpec::Of(*checkpoint).value(), *checkpoint, limit);
  }

  const ModelSpec spec_ = SpecOf(kMiniConfig);
  std::map<std::string, std::pair<Dtype, Shape>> tensors_;
};

TEST_F(Completeness, AWholeCheckpointHasNoFaultWithOrWithoutWhatIsOptional) {
  EXPECT_TRUE(Check().faults.empty());
  EXPECT_EQ(Check().coverage, Coverage::kWhole);
  tensors_["model.layers.1.self_attn.rotary_emb.inv_freq"] = {Dtype::kBF16, {56}};
  tensors_["model.layers.1.self_attn.o_proj.weight_scale_inv"] = {Dtype::kF32, {1, 1}};
  tensors_.erase("model.layers.2.embed_tokens.weight");
  tensors_.erase("model.layers.2.shared_head.head.weight");
  EXPECT_TRUE(Check().faults.empty());
}

TEST_F(Completeness, EveryTensorThatIsNotOptionalIsMissed) {
  const auto whole = tensors_;
  for (const auto& [name, what] : whole) {
    if (spec_.IsOptional(*spec_.Parse(name))) continue;
    tensors_.erase(name);
    const std::vector<Error> faults = Check().faults;
    ASSERT_EQ(faults.size(), 1u) << name;
    EXPECT_EQ(faults[0].code(), ErrorCode::kMissingTensor);
    EXPECT_EQ(faults[0].tensor(), name);
    EXPECT_NE(faults[0].Text().find(ToString(what.second)), std::string::npos);
    tensors_ = whole;
  }
}

TEST_F(Completeness, NamesForeignTensorsAndWrongShapesAfterMissingOnes) {
  tensors_.erase("model.layers.1.mlp.experts.2.up_proj.weight");
  tensors_["model.layers.1.mlp.experts.3.up_proj.weight"] = {Dtype::kBF16, {4, 8}};
  tensors_["aardvark"] = {Dtype::kBF16, {1}};
  tensors_["model.layers.0.self_attn.o_proj.weight"] = {Dtype::kBF16, {8, 5}};
  const std::vector<Error> faults = Check().faults;
  ASSERT_EQ(faults.size(), 4u);
  EXPECT_EQ(faults[0].code(), ErrorCode::kMissingTensor);
  EXPECT_EQ(faults[0].tensor(), "model.layers.1.mlp.experts.2.up_proj.weight");
  EXPECT_EQ(faults[1].code(), ErrorCode::kUnknownTensor);
  EXPECT_EQ(faults[1].tensor(), "aardvark");
  EXPECT_EQ(faults[2].tensor(), "model.layers.1.mlp.experts.3.up_proj.weight");
  EXPECT_EQ(faults[3].code(), ErrorCode::kWrongShape);
  EXPECT_NE(faults[3].Text().find("[8, 4]"), std::string::npos) << faults[3].Text();
  EXPECT_NE(faults[3].Text().find("BF16 [8, 5]"), std::string::npos) << faults[3].Text();
  EXPECT_EQ(Check(2).faults.size(), 2u);
}

TEST_F(Completeness, AWeightIsThereIfItsCodesAre) {
  const std::string stem = "model.layers.1.mlp.experts.2.up_proj.";
  for (const char* codes : {"weight_packed", "qweight"}) {
    tensors_.erase(stem + "weight");
    tensors_[stem + codes] = {Dtype::kI32, {4, 1}};
    EXPECT_TRUE(Check().faults.empty()) << codes;
    tensors_.erase(stem + codes);
    ASSERT_EQ(Check().faults.size(), 1u);
    EXPECT_EQ(Check().faults[0].tensor(), stem + "weight");
  }
  // Two codes a byte: of which width, the model alone does not tell.
  tensors_[stem + "weight"] = {Dtype::kI8, {4, 4}};
  EXPECT_TRUE(Check().faults.empty());
}

TEST_F(Completeness, CoverageFollowsTheLayersThatAreThere) {
  const auto whole = tensors_;
  Drop([](const std::string& name) { return !name.starts_with("model.layers.2."); });
  EXPECT_EQ(Check().coverage, Coverage::kMtpOnly);
  EXPECT_TRUE(Check().faults.empty());
  tensors_.erase("model.layers.2.eh_proj.weight");
  ASSERT_EQ(Check().faults.size(), 1u);
  EXPECT_EQ(Check().faults[0].tensor(), "model.layers.2.eh_proj.weight");

  tensors_ = whole;
  Drop([](const std::string& name) { return name.starts_with("model.layers.2."); });
  const std::vector<Error> faults = Check().faults;
  ASSERT_FALSE(faults.empty());
  EXPECT_EQ(faults[0].code(), ErrorCode::kMissingTensor);
  EXPECT_NE(faults[0].next().find("num_nextn_predict_layers: 0"), std::string::npos);

  std::string main_only(kMiniConfig);
  main_only.replace(main_only.find("layers\": 1"), 10, "layers\": 0");
  EXPECT_EQ(Check(main_only).coverage, Coverage::kMainOnly);
  EXPECT_TRUE(Check(main_only).faults.empty());
}

}  // namespace
}  // namespace tessera
