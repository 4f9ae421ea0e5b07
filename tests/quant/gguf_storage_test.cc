// The weights of a GGUF file: their schemes, and what does not fit them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "quant/ggml_rows.h"
#include "quant/source.h"
#include "quant/weight_reader.h"
#include "tests/support/gguf_model.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

constexpr const char* kKeys = "blk.1.attn_k_b.weight";
constexpr const char* kValues = "blk.1.attn_v_b.weight";

class GgufStorage : public testing::Test {
 protected:
  GgufTensor& Named(std::string_view name) {
    return *std::ranges::find_if(tensors_,
                                 [&](const GgufTensor& t) { return t.info.name() == name; });
  }
  // Another type or shape under the same name, of zeros.
  void Replace(std::string_view name, Dtype dtype, Shape shape) {
    const TensorInfo info = TensorInfo::Make(std::string(name), dtype, std::move(shape)).value();
    Named(name) = {info, std::string(info.bytes(), '\0')};
  }
  Result<Source> Open() {
    WriteGguf(path_, TinyGgufMetadata(), tensors_);
    return OpenSource(path_, {});
  }
  void ExpectRefused(ErrorCode code, std::string_view word) {
    const auto source = Open();
    ASSERT_FALSE(source) << word;
    EXPECT_EQ(Name(source.error().code()), Name(code)) << source.error().Text();
    EXPECT_NE(source.error().Text().find(word), std::string::npos) << source.error().Text();
  }
  std::vector<float> Values(const Source& source, std::string_view name) {
    const StoredWeight* weight = source.storage->Find(name);
    std::vector<float> values(weight->rows * weight->cols);
    EXPECT_TRUE(WeightReader(*source.checkpoint, *weight).ReadRows({0, weight->rows}, values));
    return values;
  }

  TempDir dir_;
  std::filesystem::path path_ = dir_.path() / "x.gguf";
  std::vector<GgufTensor> tensors_ = TinyGgufTensors();
};

TEST_F(GgufStorage, AnExpertIsItsSliceDecoded) {
  GgufTensor& stack = Named("blk.2.ffn_up_exps.weight");
  const size_t slice = stack.bytes.size() / 12;
  std::vector<float> want(32 * 64);
  for (size_t i = 0; i < want.size(); ++i) want[i] = static_cast<float>(i % 127) - 63;
  std::string row(GgmlRowBytes(Dtype::kQ8_0, 64), '\0');
  for (size_t r = 0; r < 32; ++r) {
    QuantizeGgmlRow(Dtype::kQ8_0, &want[r * 64], 64, nullptr,
                    reinterpret_cast<std::byte*>(row.data()));
    DequantizeGgmlRow(Dtype::kQ8_0, reinterpret_cast<const std::byte*>(row.data()), 64,
                      &want[r * 64]);
    stack.bytes.replace(11 * slice + r * row.size(), row.size(), row);
  }
  const auto source = Open();
  ASSERT_TRUE(source) << source.error().Text();
  EXPECT_EQ(Values(*source, "model.layers.2.mlp.experts.11.up_proj.weight"), want);
}

// Head h, row j: of the keys, transposed; behind them the values.
TEST_F(GgufStorage, HeadsArePutTogetherFromKeysAndValues) {
  constexpr size_t kHeads = 2, kNope = 32, kV = 16, kRank = 32;
  std::vector<float> keys(kHeads * kRank * kNope), values(kHeads * kV * kRank);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<float>(i);
  for (size_t i = 0; i < values.size(); ++i) values[i] = -static_cast<float>(i) - 1;
  std::memcpy(Named(kKeys).bytes.data(), keys.data(), keys.size() * 4);
  std::memcpy(Named(kValues).bytes.data(), values.data(), values.size() * 4);
  const auto source = Open();
  ASSERT_TRUE(source) << source.error().Text();
  const std::vector<float> got = Values(*source, "model.layers.1.self_attn.kv_b_proj.weight");
  ASSERT_EQ(got.size(), kHeads * (kNope + kV) * kRank);
  for (size_t h = 0; h < kHeads; ++h) {
    for (size_t j = 0; j < kNope + kV; ++j) {
      for (size_t c = 0; c < kRank; ++c) {
        const float want = j < kNope ? keys[(h * kRank + c) * kNope + j]
                                     : values[(h * kV + j - kNope) * kRank + c];
        ASSERT_EQ(got[(h * (kNope + kV) + j) * kRank + c], want) << h << " " << j << " " << c;
      }
    }
  }
}

TEST_F(GgufStorage, HalvesOfHeadsMustFitEachOther) {
  const std::vector<GgufTensor> good = tensors_;
  Replace(kKeys, Dtype::kF32, {2, 16, 32});
  ExpectRefused(ErrorCode::kWrongShape, "kv_b_proj.k_b");
  tensors_ = good;
  Replace(kKeys, Dtype::kF32, {64, 32});  // as ik_llama.cpp has them
  ExpectRefused(ErrorCode::kWrongShape, "kv_b_proj.k_b");
  tensors_ = good;
  Replace(kValues, Dtype::kF32, {2, 32, 32});
  ExpectRefused(ErrorCode::kWrongShape, "kv_b_proj.k_b");
  tensors_ = good;
  Replace(kValues, Dtype::kIq1S, {2, 16, 256});
  ExpectRefused(ErrorCode::kWrongShape, "IQ1_S");
  tensors_ = good;
  std::erase_if(tensors_, [](const GgufTensor& t) { return t.info.name() == kValues; });
  ExpectRefused(ErrorCode::kMissingTensor, "kv_b_proj.v_b");
  tensors_ = good;
  std::erase_if(tensors_, [](const GgufTensor& t) { return t.info.name() == kKeys; });
  ExpectRefused(ErrorCode::kOrphanScale, "kv_b_proj.v_b");
}

TEST_F(GgufStorage, TypesWithoutADecoderHaveNoScheme) {
  const Shape shape = {40, 64};
  Replace("output.weight", Dtype::kQ2_0, shape);
  const auto source = Open();
  ASSERT_TRUE(source) << source.error().Text();
  EXPECT_EQ(source->storage->Find("lm_head.weight")->scheme, nullptr);
  Replace("output.weight", Dtype::kQ8_0, shape);
  const auto decoded = Open();
  EXPECT_EQ(decoded->storage->Find("lm_head.weight")->scheme->name(), "Q8_0");
  EXPECT_TRUE(decoded->storage->Find("lm_head.weight")->is_quantized());
  EXPECT_FALSE(decoded->storage->Find("lm_head.weight")->is_plain());
  EXPECT_TRUE(decoded->storage->Find("model.layers.1.self_attn.kv_b_proj.weight")->is_plain());
}

}  // namespace
}  // namespace tessera
