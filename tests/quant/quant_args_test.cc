#include "quant/quant_args.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

// As it stands in DeepSeek-V3's config.json, and in R1's and Kimi-K2-Instruct's.
constexpr const char* kV3 = R"({"activation_scheme": "dynamic", "fmt": "e4m3",
    "quant_method": "fp8", "weight_block_size": [128, 128]})";
// V3.1's and V3.2's.
constexpr const char* kV31 = R"({"activation_scheme": "dynamic", "fmt": "e4m3",
    "quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]})";

Result<QuantArgs> Of(std::string_view quantization) {
  return QuantArgs::FromConfig(
      *ParseJson("{\"quantization_config\": " + std::string(quantization) + "}"));
}

// kV3 with one field replaced.
Result<QuantArgs> With(const char* key, std::string_view value) {
  Json config = *ParseJson(kV3);
  config[key] = *ParseJson(value);
  return Of(config.dump());
}

TEST(QuantArgs, ReadsTheReleasedConfigs) {
  const auto v3 = Of(kV3);
  ASSERT_TRUE(v3);
  EXPECT_EQ(v3->method, QuantMethod::kFp8Block);
  EXPECT_EQ(v3->block_rows, 128u);
  EXPECT_EQ(v3->block_cols, 128u);
  EXPECT_FALSE(v3->ue8m0);
  const auto v31 = Of(kV31);
  ASSERT_TRUE(v31);
  EXPECT_TRUE(v31->ue8m0);
}

TEST(QuantArgs, WritesWhatItReadInTheSameOrder) {
  for (const char* text : {kV3, kV31}) {
    EXPECT_EQ(Of(text)->ToConfig().dump(), ParseJson(text)->dump());
  }
}

TEST(QuantArgs, AbsentOrNullIsNone) {
  for (const char* config : {"{}", R"({"quantization_config": null})", R"({"text_config": {}})"}) {
    const auto args = QuantArgs::FromConfig(*ParseJson(config));
    ASSERT_TRUE(args) << config;
    EXPECT_EQ(args->method, QuantMethod::kNone) << config;
  }
}

TEST(QuantArgs, LooksIntoTextConfigToo) {
  const auto args = QuantArgs::FromConfig(
      *ParseJson(R"({"text_config": {"quantization_config": )" + std::string(kV31) + "}}"));
  ASSERT_TRUE(args) << args.error().Text();
  EXPECT_TRUE(args->ue8m0);
}

TEST(QuantArgs, KeepsTheNamesOfModulesNotConverted) {
  EXPECT_EQ(With("modules_to_not_convert", R"(["lm_head", "mlp.gate"])")->not_converted,
            (std::vector<std::string>{"lm_head", "mlp.gate"}));
  EXPECT_EQ(With("ignored_layers", R"(["lm_head"])")->not_converted,
            (std::vector<std::string>{"lm_head"}));
  EXPECT_TRUE(With("modules_to_not_convert", "null")->not_converted.empty());
}

TEST(QuantArgs, ReadsOtherBlockSizes) {
  const auto args = With("weight_block_size", "[32, 64]");
  ASSERT_TRUE(args);
  EXPECT_EQ(args->block_rows, 32u);
  EXPECT_EQ(args->block_cols, 64u);
}

TEST(QuantArgs, RefusesWhatItCannotDecodeNamingTheFieldAndWhatIsSupported) {
  struct {
    const char *key, *value, *supported;
  } const cases[] = {{"quant_method", R"("bitsandbytes")", "\"fp8\""},
                     {"fmt", R"("e5m2")", "\"e4m3\""},
                     {"activation_scheme", R"("static")", "\"dynamic\""},
                     {"scale_fmt", R"("float")", "\"ue8m0\""},
                     {"weight_block_size", "null", "[128, 128]"}};
  for (const auto& c : cases) {
    const auto args = With(c.key, c.value);
    ASSERT_FALSE(args) << c.key;
    EXPECT_EQ(args.error().code(), ErrorCode::kUnsupported) << c.key;
    EXPECT_NE(args.error().what().find(c.key), std::string::npos);
    EXPECT_NE(args.error().Text().find(c.supported), std::string::npos) << args.error().Text();
  }
}

TEST(QuantArgs, RefusesMalformedFields) {
  for (const char* size : {"128", "[128]", "[128, 0]", "[-128, 128]", "[128, 1.5]", "[1, 2, 3]",
                           "[4294967296, 1]", R"(["128", "128"])"}) {
    const auto args = With("weight_block_size", size);
    ASSERT_FALSE(args) << size;
    EXPECT_EQ(args.error().code(), ErrorCode::kBadConfig) << size;
  }
  EXPECT_EQ(With("quant_method", "1").error().code(), ErrorCode::kBadConfig);
  EXPECT_EQ(With("ignored_layers", "[1]").error().code(), ErrorCode::kBadConfig);
  EXPECT_EQ(With("ignored_layers", "{}").error().code(), ErrorCode::kBadConfig);
  EXPECT_EQ(Of("[]").error().code(), ErrorCode::kBadConfig);
  EXPECT_EQ(Of("{}").error().code(), ErrorCode::kBadConfig);
}

}  // namespace
}  // namespace tessera
