// How integer formats are paired. What they decode to: tests/cli/cases/cast_integers.sh.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "quant/storage.h"
#include "quant/weight_reader.h"
#include "tests/quant/stored_files.h"
#include "tests/support/family_configs.h"

namespace tessera {
namespace {

constexpr const char* kCtWeights =
    R"("num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 32)";

std::string Ct(const std::string& format, const std::string& weights) {
  return R"({"quant_method": "compressed-tensors", "format": ")" + format +
         R"(", "config_groups": {"group_0": {"targets": ["Linear"], "weights": {)" + weights +
         "}}}}";
}

QuantArgs Args(const std::string& quantization) {
  const auto args =
      QuantArgs::FromConfig(*ParseJson("{\"quantization_config\": " + quantization + "}"));
  EXPECT_TRUE(args) << args.error().Text();
  return *args;
}

struct Format {
  std::string name;
  std::string config;
  std::vector<Tensor> tensors;  // [0] holds the codes
  std::string scheme;
};

// A weight of 64 rows and 256 columns in each format.
std::vector<Format> Formats() {
  using enum Dtype;
  const std::string eight = R"("num_bits": 8, "type": "int", "strategy": "channel")";
  const std::string fp8 = R"("num_bits": 8, "type": "float", "strategy": )";
  return {
      {"pack-quantized",
       Ct("pack-quantized", kCtWeights),
       {{"a.weight_packed", kI32, {64, 32}},
        {"a.weight_scale", kBF16, {64, 8}},
        {"a.weight_shape", kI64, {2}}},
       "w4a16"},
      {"pack-quantized, asymmetric",
       Ct("pack-quantized",
          R"("num_bits": 4, "type": "int", "symmetric": false, "strategy": "group", "group_size": 32)"),
       {{"a.weight_packed", kI32, {64, 32}},
        {"a.weight_scale", kF16, {64, 8}},
        {"a.weight_zero_point", kI32, {8, 8}},
        {"a.weight_shape", kI32, {2}}},
       "w4a16-asym"},
      {"pack-quantized, 8 bits",
       Ct("pack-quantized", eight),
       {{"a.weight_packed", kI32, {64, 64}},
        {"a.weight_scale", kF32, {64, 1}},
        {"a.weight_shape", kI64, {2}}},
       "w8a16"},
      {"int-quantized",
       Ct("int-quantized", eight),
       {{"a.weight", kI8, {64, 256}}, {"a.weight_scale", kBF16, {64, 1}}},
       "w8a8"},
      {"float-quantized, channel",
       Ct("float-quantized", fp8 + R"("channel")"),
       {{"a.weight", kF8E4M3, {64, 256}}, {"a.weight_scale", kF32, {64, 1}}},
       "fp8-channel"},
      {"float-quantized, block",
       Ct("float-quantized", fp8 + R"("block", "block_structure": [32, 128])"),
       {{"a.weight", kF8E4M3, {64, 256}}, {"a.weight_scale", kBF16, {2, 2}}},
       "fp8-block"},
      {"blockwise_int8",
       R"({"quant_method": "blockwise_int8", "weight_block_size": [128, 128]})",
       {{"a.weight", kI8, {64, 256}}, {"a.weight_scale_inv", kF32, {1, 2}}},
       "int8-block"},
      {"w8a8_int8",
       R"({"quant_method": "w8a8_int8"})",
       {{"a.weight", kI8, {64, 256}}, {"a.weight_scale", kF32, {64, 1}}},
       "w8a8"},
      {"w4afp8",
       R"({"quant_method": "w4afp8"})",
       {{"a.weight", kI8, {64, 128}}, {"a.weight_scale_inv", kF32, {64, 2}}},
       "int4-fp8"},
      {"awq",
       R"({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true})",
       {{"a.qweight", kI32, {256, 8}}, {"a.qzeros", kI32, {4, 8}}, {"a.scales", kF16, {4, 64}}},
       "awq"},
      {"gptq",
       R"({"quant_method": "gptq", "bits": 8, "group_size": 64, "sym": true, "desc_act": false})",
       {{"a.qweight", kI32, {64, 64}},
        {"a.qzeros", kI32, {4, 16}},
        {"a.scales", kF16, {4, 64}},
        {"a.g_idx", kI32, {256}}},
       "gptq8"},
  };
}

Result<StorageMap> Map(const std::vector<Tensor>& tensors, const QuantArgs& args,
                       const ModelSpec* spec = nullptr) {
  // Every other tensor in the other shard; a shard may not be empty.
  std::vector<Tensor> shards[2] = {{{"y", Dtype::kBF16, {1}}}, {{"z", Dtype::kBF16, {1}}}};
  for (size_t i = 0; i < tensors.size(); ++i) shards[i % 2].push_back(tensors[i]);
  const Files files(shards[0], shards[1]);
  const Checkpoint checkpoint = files.Open();
  return StorageMap::Of(checkpoint, args, spec);
}

TEST(IntStorage, EveryFormatIsPairedAcrossShardsUnderTheWeightsOwnName) {
  for (const Format& format : Formats()) {
    const Files files({format.tensors.begin(), format.tensors.begin() + 1},
                      {format.tensors.begin() + 1, format.tensors.end()});
    const Checkpoint checkpoint = files.Open();
    const auto map = StorageMap::Of(checkpoint, Args(format.config));
    ASSERT_TRUE(map) << format.name << ": " << map.error().Text();
    ASSERT_EQ(map->weights().size(), 1u) << format.name;
    const StoredWeight& weight = map->weights()[0];
    EXPECT_EQ(weight.name, "a.weight") << format.name;
    EXPECT_EQ(weight.rows, 64u) << format.name;
    EXPECT_EQ(weight.cols, 256u) << format.name;
    EXPECT_EQ(weight.parts.size(), format.tensors.size()) << format.name;
    EXPECT_EQ(weight.parts[0]->info.name(), format.tensors[0].name);
    EXPECT_EQ(weight.scheme->name(), format.scheme) << format.name;
  }
}

TEST(IntStorage, APartThatIsMissingIsNamed) {
  for (const Format& format : Formats()) {
    for (size_t i = 1; i < format.tensors.size(); ++i) {
      std::vector<Tensor> left = format.tensors;
      left.erase(left.begin() + static_cast<ptrdiff_t>(i));
      const auto map = Map(left, Args(format.config));
      ASSERT_FALSE(map) << format.name << " without " << format.tensors[i].name;
      EXPECT_EQ(map.error().code(), ErrorCode::kMissingScale) << map.error().Text();
      EXPECT_EQ(map.error().tensor(), format.tensors[0].name);
      EXPECT_NE(map.error().what().find(format.tensors[i].name), std::string::npos);
    }
  }
}

TEST(IntStorage, APartWithoutCodesIsRefused) {
  for (const Format& format : Formats()) {
    for (size_t i = 1; i < format.tensors.size(); ++i) {
      const auto map = Map({format.tensors[i]}, Args(format.config));
      ASSERT_FALSE(map) << format.name << ": " << format.tensors[i].name;
      EXPECT_EQ(map.error().code(), ErrorCode::kOrphanScale) << map.error().Text();
      EXPECT_EQ(map.error().tensor(), format.tensors[i].name);
    }
  }
}

TEST(IntStorage, APartOfAnotherShapeOrTypeIsNamed) {
  for (const Format& format : Formats()) {
    for (size_t i = 1; i < format.tensors.size(); ++i) {
      for (size_t dimension = 0; dimension < format.tensors[i].shape.size(); ++dimension) {
        std::vector<Tensor> wrong = format.tensors;
        wrong[i].shape[dimension] += 1;
        const auto map = Map(wrong, Args(format.config));
        ASSERT_FALSE(map) << format.name << ": " << wrong[i].name;
        EXPECT_EQ(map.error().code(), ErrorCode::kWrongShape) << map.error().Text();
        EXPECT_EQ(map.error().tensor(), wrong[i].name);
      }
      std::vector<Tensor> wrong = format.tensors;
      wrong[i].dtype = Dtype::kU16;
      const auto map = Map(wrong, Args(format.config));
      ASSERT_FALSE(map) << format.name << ": " << wrong[i].name;
      EXPECT_EQ(map.error().code(), ErrorCode::kWrongDtype) << map.error().Text();
      EXPECT_EQ(map.error().tensor(), wrong[i].name);
    }
  }
}

TEST(IntStorage, CodesUnderAnotherConfigAreNotGuessedAt) {
  const std::vector<Format> formats = Formats();
  for (const Format& format : formats) {
    const auto none = Map(format.tensors, {});
    EXPECT_FALSE(none) << format.name;
    for (const Format& other : formats) {
      const auto map = Map(format.tensors, Args(other.config));
      EXPECT_EQ(map.has_value(), format.scheme == other.scheme)
          << format.name << " under " << other.name;
    }
  }
}

TEST(IntStorage, OfSeveralGroupsTheOneThatFitsIsTaken) {
  const auto group = [](const char* targets, const char* weights) {
    return R"({"targets": [")" + std::string(targets) + R"("], "weights": {)" + weights + "}}";
  };
  const QuantArgs args = Args(
      R"({"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"a": )" +
      group("re:.*experts.*", kCtWeights) + R"(, "b": )" +
      group("Linear", R"("num_bits": 8, "type": "int", "strategy": "channel", "group_size": -1)") +
      "}}");
  const auto map = Map({{"four.weight_packed", Dtype::kI32, {64, 32}},
                        {"four.weight_scale", Dtype::kBF16, {64, 8}},
                        {"four.weight_shape", Dtype::kI64, {2}},
                        {"eight.weight_packed", Dtype::kI32, {64, 32}},
                        {"eight.weight_scale", Dtype::kBF16, {64, 1}},
                        {"eight.weight_shape", Dtype::kI64, {2}},
                        {"plain.weight", Dtype::kBF16, {64, 256}}},
                       args);
  ASSERT_TRUE(map) << map.error().Text();
  EXPECT_EQ(map->Find("four.weight")->cols, 256u);
  EXPECT_EQ(map->Find("eight.weight")->cols, 128u);
  EXPECT_EQ(map->Find("plain.weight")->scheme->name(), "BF16");
  // A row of 32 columns is one group of 32 and one channel: eight codes a word or four?
  const auto either = Map({{"a.weight_packed", Dtype::kI32, {64, 4}},
                           {"a.weight_scale", Dtype::kBF16, {64, 1}},
                           {"a.weight_shape", Dtype::kI64, {2}}},
                          args);
  ASSERT_FALSE(either);
  EXPECT_EQ(either.error().code(), ErrorCode::kBadConfig);
}

TEST(IntStorage, AWeightStoredTwiceIsRefused) {
  const Format format = Formats()[0];
  std::vector<Tensor> tensors = format.tensors;
  tensors.push_back({"a.weight", Dtype::kBF16, {64, 256}});
  const auto map = Map(tensors, Args(format.config));
  ASSERT_FALSE(map);
  EXPECT_EQ(map.error().code(), ErrorCode::kDuplicateTensor);
  EXPECT_NE(map.error().Text().find("a.weight_packed"), std::string::npos) << map.error().Text();
}

TEST(IntStorage, InputScalesStandBesideInt4ExpertsOnly) {
  std::vector<Tensor> tensors = Formats()[8].tensors;
  tensors.push_back({"w1.input_scale", Dtype::kF32, {1}});
  EXPECT_TRUE(Map(tensors, Args(R"({"quant_method": "w4afp8"})")));
  tensors.back().shape = {2};
  EXPECT_FALSE(Map(tensors, Args(R"({"quant_method": "w4afp8"})")));
  EXPECT_EQ(Map({{"w1.input_scale", Dtype::kF32, {1}}}, {}).error().code(),
            ErrorCode::kOrphanScale);
}

// V3 in miniature, whose dense layers are 6 wide.
constexpr std::string_view kMiniConfig = R"({
  "model_type": "deepseek_v3", "hidden_size": 8, "num_hidden_layers": 2,
  "num_nextn_predict_layers": 1, "first_k_dense_replace": 1, "intermediate_size": 6,
  "moe_intermediate_size": 4, "n_routed_experts": 3, "n_shared_experts": 1,
  "num_experts_per_tok": 2, "num_attention_heads": 2, "q_lora_rank": 4, "kv_lora_rank": 4,
  "qk_nope_head_dim": 2, "qk_rope_head_dim": 2, "v_head_dim": 2, "vocab_size": 10,
  "topk_method": "noaux_tc"})";

TEST(IntStorage, TheModelTellsWhereARowEndsAndWhichShapesAreWrong) {
  const ModelSpec spec = SpecOf(kMiniConfig);
  const QuantArgs args =
      Args(Ct("pack-quantized",
              R"("num_bits": 4, "type": "int", "strategy": "channel", "group_size": -1)"));
  const std::string stem = "model.layers.0.mlp.down_proj.";
  std::vector<Tensor> tensors = {{stem + "weight_packed", Dtype::kI32, {8, 1}},
                                 {stem + "weight_scale", Dtype::kBF16, {8, 1}},
                                 {stem + "weight_shape", Dtype::kI64, {2}}};
  const auto map = Map(tensors, args, &spec);
  ASSERT_TRUE(map) << map.error().Text();
  EXPECT_EQ(map->Find(stem + "weight")->cols, 6u);
  EXPECT_EQ(Map(tensors, args)->Find(stem + "weight")->cols, 8u);
  tensors[0].shape = {8, 2};
  const auto wide = Map(tensors, args, &spec);
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().code(), ErrorCode::kWrongShape);
  EXPECT_NE(wide.error().Text().find("[8, 6]"), std::string::npos) << wide.error().Text();
  EXPECT_NE(wide.error().Text().find("[8, 16]"), std::string::npos) << wide.error().Text();
}

std::string Words(const std::vector<uint32_t>& words) {
  return {reinterpret_cast<const char*>(words.data()), words.size() * 4};
}

// Rows of twelve columns end within a word.
std::vector<Tensor> Ragged(uint64_t rows, uint64_t cols) {
  const uint64_t shape[] = {rows, cols};
  return {{"a.weight_packed", Dtype::kI32, {2, 2}, Words({0x76543210, 0xBA98, 0x89ABCDEF, 0x4567})},
          {"a.weight_scale", Dtype::kF32, {2, 1}, Words({0x3F800000, 0x40000000})},
          {"a.weight_shape", Dtype::kI64, {2}, {reinterpret_cast<const char*>(shape), 16}}};
}

TEST(WeightReader, ReadsTwoCodesAByteAndComparesWeightShape) {
  const QuantArgs args =
      Args(Ct("pack-quantized",
              R"("num_bits": 4, "type": "int", "strategy": "channel", "group_size": -1)"));
  const auto read = [&](uint64_t rows, uint64_t cols) -> Result<std::vector<float>> {
    const std::vector<Tensor> tensors = Ragged(rows, cols);
    const Files files({tensors[0]}, {tensors[1], tensors[2]});
    const Checkpoint checkpoint = files.Open();
    const auto map = StorageMap::Of(checkpoint, args);
    EXPECT_TRUE(map) << map.error().Text();
    std::vector<float> values(32);
    WeightReader reader(checkpoint, map->weights()[0]);
    TESSERA_TRY(reader.ReadRows({0, 2}, values));
    return values;
  };
  const auto values = read(2, 16);
  ASSERT_TRUE(values) << values.error().Text();
  for (int k = 0; k < 12; ++k) {
    EXPECT_EQ((*values)[static_cast<size_t>(k)], static_cast<float>(k - 8));
    EXPECT_EQ((*values)[static_cast<size_t>(16 + k)], 2 * static_cast<float>(7 - k));
  }
  const auto swapped = read(16, 2);
  ASSERT_FALSE(swapped);
  EXPECT_EQ(swapped.error().code(), ErrorCode::kWrongShape);
  EXPECT_EQ(swapped.error().tensor(), "a.weight");
  EXPECT_NE(swapped.error().what().find("weight_shape says [16, 2], the weight has [2, 16]"),
            std::string::npos)
      << swapped.error().Text();
}

// Codes, zeros and scales of a whole weight of AWQ: whatever rows are asked for, they come out the
// same, and are read from the file once.
TEST(WeightReader, AnyRowsOfATransposedWeightAreThoseOfTheWhole) {
  constexpr uint64_t kRows = 64, kCols = 256;
  std::string codes(kCols * kRows / 2, '\0'), zeros(4 * kRows / 2, '\0'), scales;
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<char>(i * 37 + i / 251);
  for (size_t i = 0; i < zeros.size(); ++i) zeros[i] = static_cast<char>(i * 29);
  for (size_t i = 0; i < 4 * kRows; ++i) scales += {static_cast<char>(i), '\x2C'};
  const Files files({{"a.qweight", Dtype::kI32, {kCols, kRows / 8}, codes}},
                    {{"a.qzeros", Dtype::kI32, {4, kRows / 8}, zeros},
                     {"a.scales", Dtype::kF16, {4, kRows}, scales}});
  const Checkpoint checkpoint = files.Open();
  const auto map = StorageMap::Of(
      checkpoint,
      Args(R"({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true})"));
  ASSERT_TRUE(map) << map.error().Text();
  std::vector<float> whole(kRows * kCols);
  WeightReader(checkpoint, map->weights()[0]).ReadRows({0, kRows}, whole).value();
  WeightReader reader(checkpoint, map->weights()[0]);
  for (const RowRange range :
       {RowRange{0, 1}, {7, 9}, {8, 16}, {3, 61}, {63, 64}, {0, 64}, {40, 41}}) {
    std::vector<float> rows(range.size() * kCols);
    ASSERT_TRUE(reader.ReadRows(range, rows));
    EXPECT_EQ(std::memcmp(rows.data(), whole.data() + range.begin * kCols, rows.size() * 4), 0)
        << range.begin << ".." << range.end;
  }
}

}  // namespace
}  // namespace tessera
