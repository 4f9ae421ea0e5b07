#include "verify/forward_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/support/family_configs.h"

namespace tessera {
namespace {

const char* const kV3Fields = R"({
  "rms_norm_eps": 1e-06, "max_position_embeddings": 163840, "rope_theta": 10000,
  "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0,
      "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"},
  "n_group": 8, "topk_group": 4, "norm_topk_prob": true, "routed_scaling_factor": 2.5,
  "scoring_func": "sigmoid", "hidden_act": "silu", "num_key_value_heads": 128})";

// A family's config with `fields`, and then `change`, laid over it; null takes a field out.
Result<ForwardConfig> Read(std::string_view family, const std::string& fields,
                           const std::string& change = "{}") {
  Json config = ParseJson(family).value();
  config.merge_patch(ParseJson(fields).value());
  config.merge_patch(ParseJson(change).value());
  return ForwardConfig::FromConfig(config, SpecOf(config.dump()));
}

TEST(ForwardConfig, ReadsV3) {
  const ForwardConfig c = Read(kV3Config, kV3Fields).value();
  EXPECT_EQ(c.topk_method, TopkMethod::kNoauxTc);
  EXPECT_EQ(c.n_group, 8u);
  EXPECT_EQ(c.topk_group, 4u);
  EXPECT_TRUE(c.norm_topk_prob);
  EXPECT_EQ(c.routed_scaling_factor, 2.5);
  EXPECT_TRUE(c.rope.yarn);
  EXPECT_TRUE(c.rope_interleave);
  EXPECT_FALSE(c.ue8m0_activations);
  EXPECT_TRUE(Read(kV31Config, kV3Fields).value().ue8m0_activations);
}

// Published values of the softmax scale, of a head of 192.
TEST(ForwardConfig, SquaresTheMscaleOfAllDimensions) {
  const auto scale = [](const std::string& change) {
    const RopeConfig rope = Read(kV3Config, kV3Fields, change).value().rope;
    EXPECT_EQ(rope.rotation_factor, 1);
    return rope.softmax_factor / std::sqrt(192.0);
  };
  EXPECT_NEAR(scale("{}"), 0.1352338, 1e-7);
  EXPECT_NEAR(scale(R"({"rope_scaling": {"mscale": 0.707, "mscale_all_dim": 0.707}})"), 0.1147214,
              1e-7);
  EXPECT_NEAR(scale(R"({"rope_scaling": {"factor": 32}})"), 0.1308608, 1e-7);
  EXPECT_NEAR(scale(R"({"rope_scaling": {"factor": 64}})"), 0.1446796, 1e-7);
}

TEST(ForwardConfig, WithoutMscalesTheRotationIsScaledInstead) {
  const RopeConfig rope =
      Read(kV3Config, kV3Fields, R"({"rope_scaling": {"mscale": null, "mscale_all_dim": null}})")
          .value()
          .rope;
  EXPECT_NEAR(rope.rotation_factor, 1.3688879, 1e-7);
  EXPECT_EQ(rope.softmax_factor, 1);
}

TEST(ForwardConfig, ReadsNewerSpellingsAndGlm) {
  const std::string change =
      R"({"rope_theta": null, "rope_scaling": null, "n_group": 1, "topk_group": 1,
          "num_key_value_heads": 64, "rms_norm_eps": 1e-5})";
  const ForwardConfig c = Read(kGlm5Config, kV3Fields, change).value();
  EXPECT_EQ(c.rope.theta, 1000000);
  EXPECT_FALSE(c.rope.yarn);
  EXPECT_EQ(c.rope.softmax_factor, 1);
  EXPECT_TRUE(c.indexer_rope_interleave);
  EXPECT_FALSE(Read(kV32Config, kV3Fields).value().indexer_rope_interleave);
}

TEST(ForwardConfig, ReadsV2) {
  const std::string change =
      R"({"scoring_func": "softmax", "norm_topk_prob": false, "topk_group": 3})";
  EXPECT_EQ(Read(kV2Config, kV3Fields, change).value().topk_method,
            TopkMethod::kGroupLimitedGreedy);
  const std::string lite = R"({"scoring_func": "softmax", "norm_topk_prob": false,
                               "num_key_value_heads": 16, "n_group": 1, "topk_group": 1})";
  EXPECT_EQ(Read(kV2LiteConfig, kV3Fields, lite).value().topk_method, TopkMethod::kGreedy);
}

TEST(ForwardConfig, RefusesWhatItDoesNotUnderstandAndNamesTheField) {
  struct Case {
    const char* field;
    const char* change;
  };
  constexpr Case kCases[] = {
      {"rms_norm_eps", R"({"rms_norm_eps": null})"},
      {"rms_norm_eps", R"({"rms_norm_eps": 0})"},
      {"max_position_embeddings", R"({"max_position_embeddings": null})"},
      {"rope_theta", R"({"rope_theta": null})"},
      {"rope_theta", R"({"rope_theta": -1})"},
      {"rope_theta", R"({"rope_theta": 1})"},
      {"rope_theta", R"({"rope_theta": 1e300})"},
      {"rope_scaling.rope_type", R"({"rope_scaling": {"type": "linear"}})"},
      {"rope_scaling.rope_type", R"({"rope_scaling": {"type": null}})"},
      {"rope_scaling.type", R"({"rope_scaling": {"rope_type": "default"}})"},
      {"rope_scaling.factor", R"({"rope_scaling": {"factor": null}})"},
      {"rope_scaling.factor", R"({"rope_scaling": {"factor": 0.5}})"},
      {"rope_scaling.mscale", R"({"rope_scaling": {"mscale": 1e38, "mscale_all_dim": 1e38}})"},
      {"rope_scaling.mscale_all_dim", R"({"rope_scaling": {"mscale_all_dim": null}})"},
      {"rope_scaling.mscale", R"({"rope_scaling": {"mscale": null}})"},
      {"rope_scaling.truncate", R"({"rope_scaling": {"truncate": false}})"},
      {"rope_scaling.attention_factor", R"({"rope_scaling": {"attention_factor": 1.2}})"},
      {"rope_scaling.original_max_position_embeddings",
       R"({"rope_scaling": {"original_max_position_embeddings": null}})"},
      {"rope_scaling", R"({"rope_scaling": 3})"},
      {"rope_scaling", R"({"rope_parameters": {"rope_theta": 10000, "rope_type": "default"}})"},
      {"rope_theta", R"({"rope_scaling": null,
                         "rope_parameters": {"rope_theta": 5, "rope_type": "default"}})"},
      {"rope_parameters.rope_theta", R"({"rope_scaling": null, "rope_theta": null,
                                         "rope_parameters": {"rope_theta": 1}})"},
      {"rope_parameters.rope_theta", R"({"rope_scaling": null, "rope_theta": null,
                                         "rope_parameters": {"rope_type": "default"}})"},
      {"rope_interleave", R"({"rope_interleave": 1})"},
      {"hidden_act", R"({"hidden_act": "gelu"})"},
      {"num_key_value_heads", R"({"num_key_value_heads": 8})"},
      {"scoring_func", R"({"scoring_func": "softmax"})"},
      {"norm_topk_prob", R"({"norm_topk_prob": null})"},
      {"routed_scaling_factor", R"({"routed_scaling_factor": null})"},
      {"n_group", R"({"n_group": null})"},
      {"n_group", R"({"n_group": 7})"},
      {"n_group", R"({"n_group": 256})"},
      {"topk_group", R"({"topk_group": 9})"},
      {"topk_group", R"({"n_group": 128, "topk_group": 3})"},
      {"mlp_layer_types", R"({"mlp_layer_types": ["dense"]})"},
  };
  for (const Case& c : kCases) {
    const Result<ForwardConfig> config = Read(kV3Config, kV3Fields, c.change);
    ASSERT_FALSE(config.has_value()) << c.change;
    EXPECT_EQ(config.error().code(), ErrorCode::kBadConfig);
    EXPECT_TRUE(config.error().what().starts_with(std::string("config.json: ") + c.field + " is"))
        << c.change << "\n"
        << config.error().Text();
  }
}

TEST(ForwardConfig, RefusesNormalisedSoftmaxWhichImplementationsReadDifferently) {
  const auto config = Read(kV2Config, kV3Fields, R"({"scoring_func": "softmax", "topk_group": 3})");
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().what().find("norm_topk_prob"), std::string::npos);
}

TEST(ForwardConfig, RefusesIndexersSharedInAWayItDoesNotKnow) {
  const std::string glm = R"({"rope_theta": null, "rope_scaling": null, "n_group": 1,
                              "topk_group": 1, "num_key_value_heads": 64)";
  for (const std::string change :
       {R"(, "index_topk_freq": 4})", R"(, "index_topk_pattern": "FS"})"}) {
    const auto config = Read(kGlm5Config, kV3Fields, glm + change);
    ASSERT_FALSE(config.has_value());
    EXPECT_NE(config.error().what().find("index_topk_"), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera
