#include "convert/config_edit.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

Json Parse(const char* text) { return *ParseJson(text); }

TEST(EditConfig, TouchesOnlyWhatBecameUntrueAndKeepsTheOrder) {
  const Json config = Parse(
      R"({"z": 1, "quantization_config": {"fmt": "e4m3"}, "a": [1.0, 1e-06],
          "torch_dtype": "bfloat16", "num_nextn_predict_layers": 1, "b": null})");
  const Json edited = EditConfig(
      config,
      {.set_quantization = true, .quantization = nullptr, .dtype = "float16", .without_mtp = true});
  EXPECT_EQ(edited.dump(), R"({"z":1,"a":[1.0,1e-06],"torch_dtype":"float16",)"
                           R"("num_nextn_predict_layers":0,"b":null})");
}

TEST(EditConfig, ReplacesQuantizationInPlace) {
  const Json edited = EditConfig(Parse(R"({"quantization_config": {"old": 1}, "x": 2})"),
                                 {.set_quantization = true,
                                  .quantization = Parse(R"({"new": 3})"),
                                  .dtype = "",
                                  .without_mtp = false});
  EXPECT_EQ(edited.dump(), R"({"quantization_config":{"new":3},"x":2})");
}

TEST(EditConfig, FollowsTheSpellingThatIsThere) {
  const ConfigEdits edits{
      .set_quantization = false, .quantization = {}, .dtype = "float32", .without_mtp = false};
  EXPECT_EQ(EditConfig(Parse(R"({"dtype":"bfloat16"})"), edits).dump(), R"({"dtype":"float32"})");
  EXPECT_EQ(EditConfig(Parse(R"({"torch_dtype":"bfloat16"})"), edits).dump(),
            R"({"torch_dtype":"float32"})");
  EXPECT_EQ(EditConfig(Parse(R"({})"), edits).dump(), R"({"torch_dtype":"float32"})");
}

TEST(EditConfig, SaysNothingMoreOfLayersThatAreGone) {
  const Json edited = EditConfig(
      Parse(
          R"({"num_hidden_layers":2,"num_nextn_predict_layers":1,"indexer_types":["a","b","c"]})"),
      {.set_quantization = false, .quantization = {}, .dtype = "", .without_mtp = true});
  EXPECT_EQ(edited.dump(),
            R"({"num_hidden_layers":2,"num_nextn_predict_layers":0,"indexer_types":["a","b"]})");
}

TEST(EditConfig, ChangesNothingWhenNothingIsAsked) {
  const Json config = Parse(R"({"quantization_config":{"fmt":"e4m3"},"torch_dtype":"bfloat16"})");
  EXPECT_EQ(EditConfig(config, {}).dump(), config.dump());
}

}  // namespace
}  // namespace tessera
