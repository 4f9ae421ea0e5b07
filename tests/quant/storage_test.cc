#include "quant/storage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "quant/reference.h"
#include "quant/weight_reader.h"
#include "tests/quant/same_bits.h"
#include "tests/quant/stored_files.h"

namespace tessera {
namespace {

QuantArgs Fp8Args() {
  QuantArgs args;
  args.method = QuantMethod::kFp8Block;
  return args;
}

const Tensor kWeight{"a.weight", Dtype::kF8E4M3, {300, 200}};
const Tensor kScale{"a.weight_scale_inv", Dtype::kF32, {3, 2}};

Error Refused(const std::vector<Tensor>& first, const std::vector<Tensor>& second,
              const QuantArgs& args = Fp8Args()) {
  const Files files(first, second);
  const Checkpoint checkpoint = files.Open();
  const auto map = StorageMap::Of(checkpoint, args);
  EXPECT_FALSE(map);
  return map ? Error(ErrorCode::kInternal, "not refused") : map.error();
}

TEST(StorageMap, PairsAcrossShardsAndHoldsEveryTensorOnce) {
  const Files files({kWeight,
                     {"b.weight", Dtype::kBF16, {3, 5}},
                     {"c.weight", Dtype::kF32, {7}},
                     {"d.table", Dtype::kI64, {2}}},
                    {kScale, {"e.scalar", Dtype::kF16, {}}, {"f.cube", Dtype::kF16, {2, 3, 4}}});
  const Checkpoint checkpoint = files.Open();
  const auto map = StorageMap::Of(checkpoint, Fp8Args());
  ASSERT_TRUE(map) << map.error().Text();
  struct {
    const char* name;
    const char* scheme;
    uint64_t rows, cols;
    size_t parts;
  } const want[] = {{"a.weight", "fp8-block", 300, 200, 2}, {"b.weight", "BF16", 3, 5, 1},
                    {"c.weight", "F32", 7, 1, 1},           {"d.table", nullptr, 0, 0, 1},
                    {"e.scalar", "F16", 1, 1, 1},           {"f.cube", "F16", 2, 12, 1}};
  ASSERT_EQ(map->weights().size(), std::size(want));
  size_t parts = 0;
  for (size_t i = 0; i < std::size(want); ++i) {
    const StoredWeight& weight = map->weights()[i];
    EXPECT_EQ(weight.name, want[i].name);
    EXPECT_EQ(map->Find(want[i].name), &weight);
    ASSERT_EQ(weight.scheme == nullptr, want[i].scheme == nullptr) << want[i].name;
    if (weight.scheme != nullptr) {
      EXPECT_EQ(weight.scheme->name(), want[i].scheme);
    }
    EXPECT_EQ(weight.rows, want[i].rows) << want[i].name;
    EXPECT_EQ(weight.cols, want[i].cols) << want[i].name;
    EXPECT_EQ(weight.parts.size(), want[i].parts) << want[i].name;
    parts += weight.parts.size();
  }
  EXPECT_EQ(parts, checkpoint.tensors().size());
}

TEST(StorageMap, AnFp8WeightWithoutItsScaleIsRefused) {
  const Error error = Refused({kWeight}, {{"b.weight", Dtype::kBF16, {1}}});
  EXPECT_EQ(error.code(), ErrorCode::kMissingScale);
  EXPECT_EQ(error.tensor(), "a.weight");
  EXPECT_EQ(error.file(), "model-00001-of-00002.safetensors");
  EXPECT_NE(error.Text().find("a.weight_scale_inv, F32 [3, 2]"), std::string::npos) << error.Text();
}

TEST(StorageMap, AScaleWithoutAnFp8WeightIsRefused) {
  EXPECT_EQ(Refused({kScale}, {{"b.weight", Dtype::kBF16, {1}}}).code(), ErrorCode::kOrphanScale);
  // By dtype, never by name or width: a block-INT8 weight is none.
  EXPECT_EQ(Refused({kScale}, {{"a.weight", Dtype::kI8, {300, 200}}}).code(),
            ErrorCode::kOrphanScale);
}

TEST(StorageMap, AScaleOfAnotherGridOrTypeIsRefused) {
  const Error error = Refused({kWeight}, {{"a.weight_scale_inv", Dtype::kF32, {2, 3}}});
  EXPECT_EQ(error.code(), ErrorCode::kWrongShape);
  EXPECT_EQ(error.file(), "model-00002-of-00002.safetensors");
  EXPECT_NE(error.Text().find("[3, 2]"), std::string::npos) << error.Text();
  EXPECT_EQ(Refused({kWeight}, {{"a.weight_scale_inv", Dtype::kBF16, {3, 2}}}).code(),
            ErrorCode::kWrongDtype);
}

TEST(StorageMap, TheGridFollowsTheConfigsBlockSize) {
  QuantArgs args = Fp8Args();
  args.block_rows = 64;
  args.block_cols = 32;
  EXPECT_EQ(Refused({kWeight}, {kScale}, args).code(), ErrorCode::kWrongShape);
  const Files files({kWeight}, {{"a.weight_scale_inv", Dtype::kF8E8M0, {5, 7}}});
  const Checkpoint checkpoint = files.Open();
  EXPECT_TRUE(StorageMap::Of(checkpoint, args));
}

TEST(StorageMap, Fp8UnderAConfigWithoutQuantizationIsRefused) {
  EXPECT_EQ(Refused({kWeight}, {kScale}, {}).code(), ErrorCode::kBadConfig);
}

TEST(StorageMap, AnFp8VectorIsRefused) {
  EXPECT_EQ(Refused({{"a.weight", Dtype::kF8E4M3, {300}}}, {kScale}).code(),
            ErrorCode::kWrongShape);
}

// A matrix of 300 x 200 codes with six different scales, and its values by the reference.
struct Fp8Matrix {
  std::string codes, scales;
  std::vector<float> values;

  Fp8Matrix() : scales(24, '\0'), values(60000) {
    float by_block[6];
    for (int i = 0; i < 6; ++i) by_block[i] = 0.001f * static_cast<float>(i + 1);
    std::memcpy(scales.data(), by_block, 24);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto code = static_cast<uint8_t>(i * 7 % 251);
      codes.push_back(static_cast<char>(code));
      values[i] = reference::Scaled(reference::DecodeE4m3(code),
                                    by_block[i / 200 / 128 * 2 + i % 200 / 128]);
    }
  }
};

TEST(WeightReader, AnyRowRangeEqualsTheReference) {
  const Fp8Matrix matrix;
  const Files files({{"a.weight", Dtype::kF8E4M3, {300, 200}, matrix.codes}},
                    {{"a.weight_scale_inv", Dtype::kF32, {3, 2}, matrix.scales}});
  const Checkpoint checkpoint = files.Open();
  const auto map = StorageMap::Of(checkpoint, Fp8Args());
  ASSERT_TRUE(map);
  WeightReader reader(checkpoint, map->weights()[0]);
  ASSERT_EQ(reader.rows(), 300u);
  ASSERT_EQ(reader.cols(), 200u);
  for (const RowRange range : {RowRange{0, 300},
                               {0, 128},
                               {0, 1},
                               {127, 129},
                               {128, 256},
                               {128, 300},
                               {100, 290},
                               {299, 300},
                               {256, 299},
                               {5, 5}}) {
    std::vector<float> got(range.size() * 200);
    ASSERT_TRUE(reader.ReadRows(range, got));
    const std::vector<float> want(matrix.values.begin() + static_cast<ptrdiff_t>(range.begin * 200),
                                  matrix.values.begin() + static_cast<ptrdiff_t>(range.end * 200));
    EXPECT_TRUE(SameBits(got, want)) << range.begin << ".." << range.end;
  }
}

// More than is read at once, and a vector.
TEST(WeightReader, ReadsWhatDoesNotFitItsBuffer) {
  constexpr uint64_t kLength = 3'000'000;
  std::string bytes(kLength * 2, '\0');
  for (uint64_t i = 0; i < kLength; ++i) {
    const auto value = static_cast<uint16_t>(i % 0x7F80);
    std::memcpy(bytes.data() + i * 2, &value, 2);
  }
  const Files files({{"v.weight", Dtype::kBF16, {kLength}, bytes}}, {{"w", Dtype::kF32, {1}}});
  const Checkpoint checkpoint = files.Open();
  const auto map = StorageMap::Of(checkpoint, {});
  ASSERT_TRUE(map);
  WeightReader reader(checkpoint, map->weights()[0]);
  std::vector<float> got(kLength - 1);
  ASSERT_TRUE(reader.ReadRows({1, kLength}, got));
  for (uint64_t i = 1; i < kLength; ++i) {
    ASSERT_EQ(got[i - 1], reference::DecodeBf16(static_cast<uint16_t>(i % 0x7F80))) << i;
  }
}

}  // namespace
}  // namespace tessera
