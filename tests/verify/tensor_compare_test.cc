#include "verify/tensor_compare.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/safetensors.h"
#include "quant/scheme.h"
#include "tests/support/temp_dir.h"
#include "verify/report_page.h"

namespace tessera {
namespace {

struct Stored {
  Dtype dtype;
  Shape shape;
  std::string bytes;
};
using Tensors = std::map<std::string, Stored>;

Json SmallConfig(bool fp8, int mtp_layers = 1) {
  Json config = Json::parse(R"({"model_type": "deepseek_v3", "hidden_size": 256,
    "num_hidden_layers": 3, "first_k_dense_replace": 1, "moe_layer_freq": 1,
    "intermediate_size": 384, "moe_intermediate_size": 256, "n_routed_experts": 4,
    "n_shared_experts": 1, "num_experts_per_tok": 2, "num_attention_heads": 4,
    "q_lora_rank": 128, "kv_lora_rank": 128, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32,
    "v_head_dim": 64, "vocab_size": 300, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
    "tie_word_embeddings": false})");
  config["num_nextn_predict_layers"] = mtp_layers;
  if (fp8) {
    config["quantization_config"] =
        Json::parse(R"({"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                        "weight_block_size": [128, 128]})");
  }
  return config;
}

std::string Bf16Of(const std::vector<float>& values, uint64_t rows, uint64_t cols) {
  std::string bytes(values.size() * 2, '\0');
  const std::span<std::byte> part(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
  ValueStats unused;
  PlainScheme(Dtype::kBF16).EncodeRows(values.data(), rows, cols, {0, rows}, {&part, 1}, unused);
  return bytes;
}

std::vector<float> ValuesOf(const Stored& tensor) {
  uint64_t count = 1;
  for (const uint64_t n : tensor.shape) count *= n;
  std::vector<float> values(count);
  const std::span<const std::byte> part(reinterpret_cast<const std::byte*>(tensor.bytes.data()),
                                        tensor.bytes.size());
  ValueStats unused;
  PlainScheme(tensor.dtype).DecodeRows({&part, 1}, 1, count, {0, 1}, values.data(), unused);
  return values;
}

// A whole BF16 checkpoint of the small model.
Tensors PlainModel() {
  const ModelSpec spec = *ModelSpec::FromConfig(SmallConfig(false));
  Tensors tensors;
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.05f);
  spec.ForEach([&](const TensorRole& role) {
    if (spec.IsOptional(role)) return;
    const Shape shape = *spec.ShapeOf(role);
    std::vector<float> values(shape[0] * (shape.size() == 2 ? shape[1] : 1));
    for (float& value : values) value = normal(random);
    tensors[spec.NameOf(role)] = {Dtype::kBF16, shape, Bf16Of(values, 1, values.size())};
  });
  return tensors;
}

bool IsLinear(const std::string& name) {
  return name.find("_proj") != std::string::npos && name.find("eh_proj") == std::string::npos;
}

// The linears as block FP8 with F32 scales, the rest as it is.
Tensors QuantizedModel(const Tensors& plain) {
  Tensors tensors = plain;
  const auto scheme = MakeFp8BlockScheme({});
  for (const auto& [name, tensor] : plain) {
    if (!IsLinear(name)) continue;
    const uint64_t rows = tensor.shape[0], cols = tensor.shape[1];
    const auto parts = scheme->Parts(rows, cols);
    Stored codes{parts[0].dtype, parts[0].shape, std::string(rows * cols, '\0')};
    Stored scales{parts[1].dtype, parts[1].shape, ""};
    scales.bytes.resize(scheme->PartBytes(1, rows, cols, {0, rows}).size());
    const std::span<std::byte> spans[] = {
        {reinterpret_cast<std::byte*>(codes.bytes.data()), codes.bytes.size()},
        {reinterpret_cast<std::byte*>(scales.bytes.data()), scales.bytes.size()}};
    ValueStats unused;
    scheme->EncodeRows(ValuesOf(tensor).data(), rows, cols, {0, rows}, spans, unused);
    tensors[name] = std::move(codes);
    tensors[name + "_scale_inv"] = std::move(scales);
  }
  return tensors;
}

// What the FP8 model means, rounded to BF16.
Tensors CastModel(const Tensors& quantized) {
  Tensors tensors;
  const auto scheme = MakeFp8BlockScheme({});
  for (const auto& [name, tensor] : quantized) {
    if (name.ends_with("_scale_inv")) continue;
    tensors[name] = tensor;
    if (tensor.dtype != Dtype::kF8E4M3) continue;
    const std::string& scales = quantized.at(name + "_scale_inv").bytes;
    const std::span<const std::byte> parts[] = {
        {reinterpret_cast<const std::byte*>(tensor.bytes.data()), tensor.bytes.size()},
        {reinterpret_cast<const std::byte*>(scales.data()), scales.size()}};
    const uint64_t rows = tensor.shape[0], cols = tensor.shape[1];
    std::vector<float> values(rows * cols);
    ValueStats unused;
    scheme->DecodeRows(parts, rows, cols, {0, rows}, values.data(), unused);
    tensors[name] = {Dtype::kBF16, tensor.shape, Bf16Of(values, rows, cols)};
  }
  return tensors;
}

// In `shards` files, tensors dealt out in turn.
void WriteModel(const TempDir& dir, const Tensors& tensors, const Json& config, size_t shards) {
  Json index;
  index["metadata"] = Json::object();
  for (size_t s = 0; s < shards; ++s) {
    const std::string file =
        "model-0000" + std::to_string(s + 1) + "-of-0000" + std::to_string(shards) + ".safetensors";
    std::vector<TensorInfo> infos;
    std::string data;
    size_t turn = 0;
    for (const auto& [name, tensor] : tensors) {
      if (turn++ % shards != s) continue;
      infos.push_back(*TensorInfo::Make(name, tensor.dtype, tensor.shape));
      data += tensor.bytes;
      index["weight_map"][name] = file;
    }
    std::vector<const TensorInfo*> order;
    for (const TensorInfo& info : infos) order.push_back(&info);
    dir.Write(file, *RenderSafetensorsHeader(order, {{"format", "pt"}}) + data);
  }
  dir.Write("model.safetensors.index.json", index.dump());
  dir.Write("config.json", config.dump());
}

struct Model {
  Tensors tensors;
  Json config;
};

ComparisonReport Compare(const Model& a, const Model& b, CompareOptions options = {},
                         WorkCounters* counters = nullptr) {
  const TempDir dir_a, dir_b;
  WriteModel(dir_a, a.tensors, a.config, 2);
  WriteModel(dir_b, b.tensors, b.config, 3);
  WorkCounters own;
  auto report = CompareTensors(dir_a.path(), dir_b.path(), options, counters ? *counters : own);
  EXPECT_TRUE(report) << report.error().Text();
  return *std::move(report);
}

class TensorCompareTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    plain_ = new Model{PlainModel(), SmallConfig(false)};
    fp8_ = new Model{QuantizedModel(plain_->tensors), SmallConfig(true)};
    cast_ = new Model{CastModel(fp8_->tensors), SmallConfig(false)};
  }
  static void TearDownTestSuite() {
    delete plain_;
    delete fp8_;
    delete cast_;
  }
  static inline Model *plain_, *fp8_, *cast_;
};

uint64_t Linears(const Model& model) {
  uint64_t count = 0;
  for (const auto& [name, tensor] : model.tensors) count += tensor.dtype == Dtype::kF8E4M3;
  return count;
}

TEST_F(TensorCompareTest, AModelEqualsItselfInOtherShardsReadingEachByteOnce) {
  WorkCounters counters;
  const ComparisonReport report = Compare(*fp8_, *fp8_, {}, &counters);
  EXPECT_TRUE(report.passes()) << report.verdict;
  EXPECT_EQ(report.exact, report.tensors.size());
  EXPECT_EQ(report.tensors.size() + Linears(*fp8_), fp8_->tensors.size());
  EXPECT_EQ(counters.done_bytes, report.a.bytes + report.b.bytes);
  EXPECT_EQ(counters.done_bytes, counters.total_bytes);
}

TEST_F(TensorCompareTest, ACastIsExactRoundingReadingEachByteOnce) {
  WorkCounters counters;
  const ComparisonReport report = Compare(*fp8_, *cast_, {}, &counters);
  EXPECT_TRUE(report.passes()) << report.verdict;
  EXPECT_EQ(report.within, Linears(*fp8_));
  EXPECT_EQ(report.failed, 0u);
  for (const TensorComparison& tensor : report.tensors) {
    if (tensor.agreement == Agreement::kWithin) {
      EXPECT_EQ(tensor.rule, "A rounded to BF16");
    }
  }
  EXPECT_EQ(counters.done_bytes, report.a.bytes + report.b.bytes);
}

TEST_F(TensorCompareTest, QuantizingKeepsToItsGatesAndToThePrediction) {
  const ComparisonReport report = Compare(*plain_, *fp8_);
  EXPECT_TRUE(report.passes()) << report.verdict;
  EXPECT_EQ(report.within, Linears(*fp8_));
  for (const TensorComparison& tensor : report.tensors) {
    if (tensor.agreement != Agreement::kWithin) continue;
    EXPECT_EQ(tensor.kind, StorageKind::kFp8);
    EXPECT_NEAR(tensor.stats.sqnr(), tensor.stats.predicted_sqnr(), 0.3) << tensor.name;
  }
}

// The same report, byte for byte of its page, whatever the threads and the budget.
TEST_F(TensorCompareTest, ThreadsAndBudgetChangeNothing) {
  Model bad = *fp8_;
  bad.tensors.at("model.layers.0.mlp.down_proj.weight").bytes[77] ^= 0x41;
  std::set<std::string> pages;
  for (const unsigned threads : {1u, 2u, 5u}) {
    for (const uint64_t memory : {uint64_t{4} << 20, uint64_t{256} << 20}) {
      ComparisonReport report = Compare(*plain_, bad, {.threads = threads, .memory = memory});
      report.a.path = report.b.path = "";
      pages.insert(RenderReportPage(&report, nullptr, ""));
    }
  }
  EXPECT_EQ(pages.size(), 1u);
}

TEST_F(TensorCompareTest, ATooSmallBudgetIsRefusedAndSaysWhatIsEnough) {
  const TempDir dir;
  WriteModel(dir, plain_->tensors, plain_->config, 1);
  WorkCounters counters;
  const auto report = CompareTensors(dir.path(), dir.path(), {.memory = 1000}, counters);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kMemoryBudget);
  const uint64_t enough = std::stoull(report.error().facts().at(0).second);
  EXPECT_TRUE(CompareTensors(dir.path(), dir.path(), {.memory = enough}, counters));
  EXPECT_FALSE(CompareTensors(dir.path(), dir.path(), {.memory = enough - 1}, counters));
}

TEST_F(TensorCompareTest, ASignalEndsItAsInterruptedOrTerminated) {
  const TempDir dir;
  WriteModel(dir, plain_->tensors, plain_->config, 1);
  for (const auto& [signal, code] :
       {std::pair(SIGINT, ErrorCode::kInterrupted), std::pair(SIGTERM, ErrorCode::kTerminated)}) {
    const std::atomic<int> received = signal;
    WorkCounters counters;
    const auto report = CompareTensors(dir.path(), dir.path(), {.signal = &received}, counters);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code(), code);
  }
}

TEST_F(TensorCompareTest, WideningLosesNothing) {
  Model wide = *plain_;
  for (auto& [name, tensor] : wide.tensors) {
    const std::vector<float> values = ValuesOf(tensor);
    tensor.dtype = Dtype::kF32;
    tensor.bytes.assign(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  }
  const ComparisonReport report = Compare(*plain_, wide);
  EXPECT_EQ(report.exact, report.tensors.size()) << report.verdict;
  EXPECT_EQ(report.tensors[0].rule, "equal values");
}

TEST_F(TensorCompareTest, NanEqualsNanWhateverItsBits) {
  Model a = *plain_, b = *plain_;
  a.tensors.at("model.norm.weight").bytes.replace(10, 2, "\xC0\x7F");
  b.tensors.at("model.norm.weight").bytes.replace(10, 2, "\xC1\xFF");
  EXPECT_EQ(Compare(a, b).exact, Compare(a, a).exact);
  b.tensors.at("model.norm.weight").bytes.replace(12, 2, "\xC0\x7F");
  const ComparisonReport report = Compare(a, b);
  EXPECT_FALSE(report.passes());
  EXPECT_EQ(report.Worst(1).at(0)->stats.not_finite, 1u);
}

struct Fault {
  const char* what;
  std::function<void(Tensors&)> plant;
  const char* gate;
  const char* tensor;  // that the report names
};

std::string& Bytes(Tensors& tensors, const std::string& name) { return tensors.at(name).bytes; }

constexpr const char* kExpert = "model.layers.1.mlp.experts.2.down_proj.weight";
constexpr const char* kOther = "model.layers.1.mlp.experts.3.down_proj.weight";
constexpr const char* kKvB = "model.layers.1.self_attn.kv_b_proj.weight";
constexpr const char* kBias = "model.layers.1.mlp.gate.e_score_correction_bias";

float* Scales(Tensors& tensors, const std::string& weight) {
  return reinterpret_cast<float*>(Bytes(tensors, weight + "_scale_inv").data());
}

void SwapRows(Tensors& tensors, const std::string& name, uint64_t row_bytes, uint64_t i,
              uint64_t j) {
  std::string& bytes = Bytes(tensors, name);
  std::swap_ranges(bytes.data() + i * row_bytes, bytes.data() + (i + 1) * row_bytes,
                   bytes.data() + j * row_bytes);
}

// Planted in the FP8 side of a quantization.
const Fault kQuantizationFaults[] = {
    {"a block's scale shifted",
     [](Tensors& t) {
       std::swap(Scales(t, kExpert)[0], Scales(t, kOther)[1]);
       Scales(t, kExpert)[0] *= 1.2f;
     },
     "worst-row", kExpert},
    {"scale x16/15",
     [](Tensors& t) {
       for (int i = 0; i < 4; ++i) Scales(t, kExpert)[i] *= 16.0f / 15;
     },
     "gain-8bit", kExpert},
    {"one row zeroed", [](Tensors& t) { Bytes(t, kExpert).replace(5 * 256, 256, 256, '\0'); },
     "worst-row", kExpert},
    {"one group zeroed",
     [](Tensors& t) { Bytes(t, kExpert).replace(9 * 256 + 128, 128, 128, '\0'); }, "worst-group",
     kExpert},
    {"two rows swapped", [](Tensors& t) { SwapRows(t, kExpert, 256, 3, 4); }, "worst-row", kExpert},
    {"two experts exchanged",
     [](Tensors& t) {
       std::swap(t.at(kExpert), t.at(kOther));
       std::swap(t.at(std::string(kExpert) + "_scale_inv"),
                 t.at(std::string(kOther) + "_scale_inv"));
     },
     "sqnr-fp8", kExpert},
    {"kv_b halves exchanged",
     [](Tensors& t) {
       // Of each head 64 rows of keys and 64 of values.
       for (uint64_t row = 0; row < 512; row += 128) {
         for (uint64_t i = 0; i < 64; ++i) SwapRows(t, kKvB, 128, row + i, row + 64 + i);
       }
     },
     "sqnr-fp8", kKvB},
    {"one NaN code", [](Tensors& t) { Bytes(t, kExpert)[1000] = '\x7F'; }, "not-finite", kExpert},
};

// Planted in the BF16 side of a cast.
const Fault kCastFaults[] = {
    {"one bit flipped", [](Tensors& t) { Bytes(t, kExpert)[1000] ^= 1; }, "rounding", kExpert},
    {"two rows swapped", [](Tensors& t) { SwapRows(t, kExpert, 512, 3, 4); }, "rounding", kExpert},
    {"two experts exchanged", [](Tensors& t) { std::swap(t.at(kExpert), t.at(kOther)); },
     "rounding", kOther},
    {"kv_b halves exchanged",
     [](Tensors& t) {
       for (uint64_t i = 0; i < 64; ++i) SwapRows(t, kKvB, 256, i, 64 + i);
     },
     "rounding", kKvB},
    {"gate bias dropped", [](Tensors& t) { t.erase(kBias); }, "unmatched", kBias},
    {"a layer missing",
     [](Tensors& t) {
       std::erase_if(t,
                     [](const auto& entry) { return entry.first.starts_with("model.layers.2."); });
     },
     "unmatched", "layer 2"},
    {"a tensor transposed", [](Tensors& t) { std::swap(t.at(kKvB).shape[0], t.at(kKvB).shape[1]); },
     "form", kKvB},
};

void ExpectCaught(const Fault& fault, const Model& a, Model b) {
  fault.plant(b.tensors);
  const ComparisonReport report = Compare(a, b);
  EXPECT_FALSE(report.passes()) << fault.what;
  std::string missed;
  for (const GateResult& gate : report.gates) {
    if (!gate.ok) missed += std::string(Name(gate.gate)) + " " + gate.tensor + "\n";
  }
  EXPECT_NE(missed.find(fault.gate), std::string::npos) << fault.what << " misses " << missed;
  std::string named = report.verdict;
  for (const TensorComparison& tensor : report.tensors) {
    if (tensor.agreement == Agreement::kFailed) named += " " + tensor.name;
  }
  EXPECT_NE(named.find(fault.tensor), std::string::npos) << fault.what << ": " << named;
}

TEST_F(TensorCompareTest, EveryFaultPlantedInAQuantizationIsCaughtByItsGate) {
  for (const Fault& fault : kQuantizationFaults) ExpectCaught(fault, *plain_, *fp8_);
}

TEST_F(TensorCompareTest, EveryFaultPlantedInACastIsCaughtByItsGate) {
  for (const Fault& fault : kCastFaults) ExpectCaught(fault, *fp8_, *cast_);
}

TEST_F(TensorCompareTest, OneCodeThatDiffersInACopyIsNoQuantizationError) {
  Model copy = *fp8_;
  Bytes(copy.tensors, kExpert)[1000] ^= 1;
  const ComparisonReport report = Compare(*fp8_, copy);
  ASSERT_EQ(report.failed, 1u) << report.verdict;
  EXPECT_EQ(report.Worst(1).at(0)->missed.at(0).gate, Gate::kCopied);
  EXPECT_EQ(report.Worst(1).at(0)->stats.differing, 1u);
}

// Tiles that were the same are read again, for the signal they hold.
TEST_F(TensorCompareTest, ATensorThatDiffersSomewhereIsMeasuredWhole) {
  Model bad = *plain_;
  const char* name = "model.embed_tokens.weight";
  bad.tensors.at(name).shape = {300, 256};
  Bytes(bad.tensors, name)[0] ^= 0x40;
  const ComparisonReport report = Compare(*plain_, bad);
  const TensorComparison& tensor = *report.Worst(1).at(0);
  EXPECT_EQ(tensor.name, name);
  EXPECT_EQ(tensor.misrounded, 1u);
  EXPECT_EQ(tensor.stats.values, 300u * 256);
}

TEST_F(TensorCompareTest, AModuleLeftOutIsExplainedOnlyIfTheConfigSaysSo) {
  Model without = *plain_;
  std::erase_if(without.tensors,
                [](const auto& entry) { return entry.first.starts_with("model.layers.3."); });
  const ComparisonReport torn = Compare(*plain_, without);
  EXPECT_FALSE(torn.passes());
  without.config = SmallConfig(false, 0);
  const ComparisonReport dropped = Compare(*plain_, without);
  EXPECT_TRUE(dropped.passes()) << dropped.verdict;
  ASSERT_EQ(dropped.unmatched.size(), 1u);
  EXPECT_EQ(dropped.unmatched[0].rule, "mtp-module");
  EXPECT_EQ(dropped.Unmatched(Side::kA), plain_->tensors.size() - without.tensors.size());
  EXPECT_EQ(dropped.Unmatched(Side::kB), 0u);
  const ComparisonReport joined = Compare(without, *plain_);
  EXPECT_TRUE(joined.passes()) << joined.verdict;
  EXPECT_EQ(joined.Unmatched(Side::kB), dropped.Unmatched(Side::kA));
}

TEST_F(TensorCompareTest, AGateThatIsOverriddenLetsThrough) {
  Model bad = *cast_;
  Bytes(bad.tensors, kExpert)[1000] ^= 1;
  const std::string rounding = "rounding=1";
  CompareOptions options;
  options.gates = *QualityGates::WithOverrides({&rounding, 1});
  EXPECT_FALSE(Compare(*fp8_, bad).passes());
  EXPECT_TRUE(Compare(*fp8_, bad, options).passes());
}

}  // namespace
}  // namespace tessera
