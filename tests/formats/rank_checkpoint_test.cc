// Checkpoints cut for model-parallel ranks, opened as the model that was cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/rank_cut.h"
#include "formats/safetensors.h"
#include "formats/shard_name.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

constexpr const char* kDemoConfig = R"({
  "vocab_size": 8, "dim": 6, "inter_dim": 12, "moe_inter_dim": 4, "n_layers": 2,
  "n_dense_layers": 1, "n_heads": 4, "n_routed_experts": 4, "n_shared_experts": 1,
  "n_activated_experts": 2, "score_func": "sigmoid", "q_lora_rank": 4, "kv_lora_rank": 4,
  "qk_nope_head_dim": 4, "qk_rope_head_dim": 2, "v_head_dim": 3})";

struct Tensor {
  Dtype dtype = Dtype::kBF16;
  Shape shape;
  std::string bytes;
};
using Tensors = std::map<std::string, Tensor>;

struct Sample {
  const char* demo;
  const char* hf;
  Cut cut;
  Dtype dtype;
  Shape shape;
};
const std::vector<Sample>& Samples() {
  static const std::vector<Sample> samples = {
      {"embed.weight", "model.embed_tokens.weight", Cut::kRows, Dtype::kBF16, {8, 6}},
      {"layers.0.attn.wo.weight",
       "model.layers.0.self_attn.o_proj.weight",
       Cut::kColumns,
       Dtype::kF8E4M3,
       {6, 12}},
      {"layers.0.attn.wo.scale",
       "model.layers.0.self_attn.o_proj.weight_scale_inv",
       Cut::kColumns,
       Dtype::kF32,
       {1, 4}},
      {"layers.0.attn_norm.weight",
       "model.layers.0.input_layernorm.weight",
       Cut::kReplicated,
       Dtype::kBF16,
       {6}},
      {"layers.1.ffn.gate.bias",
       "model.layers.1.mlp.gate.e_score_correction_bias",
       Cut::kReplicated,
       Dtype::kF32,
       {4}},
      {"layers.1.ffn.shared_experts.w2.weight",
       "model.layers.1.mlp.shared_experts.down_proj.weight",
       Cut::kColumns,
       Dtype::kBF16,
       {6, 4}},
      {"layers.1.ffn.experts.2.w1.weight",
       "model.layers.1.mlp.experts.2.gate_proj.weight",
       Cut::kOwned,
       Dtype::kBF16,
       {4, 6}},
      {"mtp.0.eh_proj.weight",
       "model.layers.2.eh_proj.weight",
       Cut::kReplicated,
       Dtype::kBF16,
       {6, 12}},
  };
  return samples;
}

std::string FileName(uint32_t rank, uint32_t ranks) { return ToString(RankShardName{rank, ranks}); }

// One rank's share, byte by byte.
std::string Share(const Tensor& whole, Cut cut, uint32_t rank, uint32_t ranks) {
  if (cut == Cut::kReplicated || cut == Cut::kOwned) return whole.bytes;
  const size_t row = whole.bytes.size() / whole.shape[0];
  std::string share;
  for (size_t i = 0; i < whole.bytes.size(); ++i) {
    const size_t place = cut == Cut::kRows ? i : i % row;
    const size_t size = cut == Cut::kRows ? whole.bytes.size() : row;
    if (place * ranks / size == rank) share += whole.bytes[i];
  }
  return share;
}

// A sound checkpoint; every test spoils it in one way.
class RankCheckpointTest : public testing::Test {
 protected:
  RankCheckpointTest() {
    const unsigned seed = std::random_device{}();
    RecordProperty("seed", static_cast<int>(seed));
    random_.seed(seed);
    for (const Sample& sample : Samples()) {
      Tensor tensor{sample.dtype, sample.shape, ""};
      tensor.bytes.resize(TensorInfo::Make("", sample.dtype, sample.shape)->bytes());
      for (char& byte : tensor.bytes) byte = static_cast<char>(random_());
      whole_[sample.hf] = tensor;
    }
    dir_.Write("config.json", kDemoConfig);
  }

  void CutFor(uint32_t ranks) {
    files_.assign(ranks, {});
    for (const Sample& sample : Samples()) {
      const Tensor& whole = whole_[sample.hf];
      Shape shape = whole.shape;
      if (sample.cut == Cut::kRows) shape[0] /= ranks;
      if (sample.cut == Cut::kColumns) shape[1] /= ranks;
      for (uint32_t rank = 0; rank < ranks; ++rank) {
        if (sample.cut == Cut::kOwned && rank != 2 * ranks / 4) continue;  // of expert 2 in 4
        files_[rank][sample.demo] = {sample.dtype, shape, Share(whole, sample.cut, rank, ranks)};
      }
    }
    Write();
  }

  void Write() {
    for (uint32_t rank = 0; rank < files_.size(); ++rank) {
      std::vector<TensorInfo> infos;
      std::string data;
      for (const auto& [name, tensor] : files_[rank]) {
        infos.push_back(*TensorInfo::Make(name, tensor.dtype, tensor.shape));
        data += tensor.bytes;
      }
      std::vector<const TensorInfo*> pointers;
      for (const TensorInfo& info : infos) pointers.push_back(&info);
      dir_.Write(FileName(rank, static_cast<uint32_t>(files_.size())),
                 *RenderSafetensorsHeader(pointers, {}) + data);
    }
  }

  Checkpoint Open(const CheckpointOptions& options = {}) {
    auto checkpoint = Checkpoint::Open(dir_.path(), options);
    if (!checkpoint) throw std::runtime_error(checkpoint.error().Text());
    return *std::move(checkpoint);
  }

  static Result<std::string> Read(const Checkpoint& checkpoint, const TensorExtent& tensor,
                                  uint64_t begin, uint64_t size) {
    std::string bytes(size, '\0');
    TESSERA_TRY(checkpoint.ReadBytes(tensor, begin, std::as_writable_bytes(std::span(bytes))));
    return bytes;
  }

  // The first fault, on which Open and FindFaults must agree.
  Error Fault() {
    const auto faults = Checkpoint::FindFaults(dir_.path());
    const auto opened = Checkpoint::Open(dir_.path());
    if (opened || faults.empty()) throw std::runtime_error("no fault");
    EXPECT_EQ(opened.error().Text(), faults[0].Text());
    return opened.error();
  }

  TempDir dir_;
  std::mt19937 random_;
  Tensors whole_;               // by Hugging Face name
  std::vector<Tensors> files_;  // by rank, by the demo's name
};

class EveryDegreeTest : public RankCheckpointTest, public testing::WithParamInterface<uint32_t> {};

TEST_P(EveryDegreeTest, IsTheModelThatWasCut) {
  CutFor(GetParam());
  const Checkpoint checkpoint = Open();
  EXPECT_EQ(checkpoint.ranks(), GetParam());
  ASSERT_EQ(checkpoint.tensors().size(), whole_.size());
  uint64_t bytes = 0;
  for (const auto& [name, tensor] : whole_) {
    const TensorExtent* found = checkpoint.Find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->info.dtype(), tensor.dtype) << name;
    EXPECT_EQ(found->info.shape(), tensor.shape) << name;
    bytes += tensor.bytes.size();
  }
  EXPECT_EQ(checkpoint.payload_bytes(), bytes);
  EXPECT_NE(checkpoint.config_text()->find("\"num_nextn_predict_layers\": 1"), std::string::npos);
  EXPECT_TRUE(checkpoint.CheckUnchanged());
}

TEST_P(EveryDegreeTest, ReadsEveryRangeOfEveryTensor) {
  CutFor(GetParam());
  CheckpointOptions options;
  options.open_limit = 2;
  const Checkpoint checkpoint = Open(options);
  for (const TensorExtent& tensor : checkpoint.tensors()) {
    const std::string& bytes = whole_[tensor.info.name()].bytes;
    for (size_t begin = 0; begin <= bytes.size(); ++begin) {
      for (size_t size = 0; begin + size <= bytes.size(); ++size) {
        ASSERT_EQ(*Read(checkpoint, tensor, begin, size), bytes.substr(begin, size))
            << tensor.info.name() << " from " << begin << ", " << size << " bytes";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, EveryDegreeTest, testing::Values(1, 2, 4));

// More than fits the buffer through which columns and copies pass.
TEST_F(RankCheckpointTest, ReadsLongTensorsToo) {
  constexpr uint64_t kRows = 3000;
  Json config = *ParseJson(kDemoConfig);
  config["dim"] = kRows;
  config["v_head_dim"] = 501;
  dir_.Write("config.json", config.dump());
  files_.assign(2, {});
  Tensor whole{Dtype::kU8, {kRows, 4 * 501}, std::string(kRows * 4 * 501, '\0')};
  for (char& byte : whole.bytes) byte = static_cast<char>(random_());
  Tensor copy{Dtype::kU8, {kRows, 4 * 501}, whole.bytes};
  for (uint32_t rank = 0; rank < 2; ++rank) {
    files_[rank]["layers.0.attn.wo.weight"] = {
        Dtype::kU8, {kRows, 2 * 501}, Share(whole, Cut::kColumns, rank, 2)};
    files_[rank]["layers.0.attn.wq_a.weight"] = copy;
  }
  copy.bytes[2'500'000] ^= 1;
  files_[1]["layers.1.attn.wq_a.weight"] = copy;
  files_[0]["layers.1.attn.wq_a.weight"] = files_[0]["layers.0.attn.wq_a.weight"];
  Write();
  const Checkpoint checkpoint = Open();
  const auto at = [&](const char* name) { return checkpoint.Find(name); };
  const TensorExtent* cut = at("model.layers.0.self_attn.o_proj.weight");
  EXPECT_TRUE(*Read(checkpoint, *cut, 0, whole.bytes.size()) == whole.bytes);
  EXPECT_TRUE(*Read(checkpoint, *cut, 777, whole.bytes.size() - 1777) ==
              whole.bytes.substr(777, whole.bytes.size() - 1777));
  const TensorExtent* same = at("model.layers.0.self_attn.q_a_proj.weight");
  EXPECT_TRUE(*Read(checkpoint, *same, 1, whole.bytes.size() - 1) == whole.bytes.substr(1));
  const TensorExtent* other = at("model.layers.1.self_attn.q_a_proj.weight");
  const auto read = Read(checkpoint, *other, 100'000, whole.bytes.size() - 100'000);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().Text().find("byte 2500000 "), std::string::npos) << read.error().Text();
}

TEST_F(RankCheckpointTest, CopiesThatDifferAreRefusedNamingBothFiles) {
  CutFor(4);
  files_[3]["layers.0.attn_norm.weight"].bytes[7] ^= 1;
  Write();
  const Checkpoint checkpoint = Open();
  const TensorExtent* norm = checkpoint.Find("model.layers.0.input_layernorm.weight");
  EXPECT_TRUE(Read(checkpoint, *norm, 0, 7));
  EXPECT_TRUE(Read(checkpoint, *norm, 8, 4));
  const auto read = Read(checkpoint, *norm, 3, 6);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kRanksDiffer);
  EXPECT_EQ(read.error().tensor(), "model.layers.0.input_layernorm.weight");
  const std::string text = read.error().Text();
  for (const char* part : {"model0-mp4.safetensors", "model3-mp4.safetensors", "byte 7 "}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST_F(RankCheckpointTest, FilesThatAreNotTheRanksOfOneCutAreRefused) {
  CutFor(4);
  ASSERT_TRUE(std::filesystem::remove(dir_ / FileName(2, 4)));
  EXPECT_EQ(Fault().code(), ErrorCode::kMissingShard);
  EXPECT_EQ(Fault().file(), (dir_ / FileName(2, 4)).string());
  EXPECT_EQ(Checkpoint::FindFaults(dir_.path()).size(), 1u);
  CutFor(4);
  CutFor(2);
  EXPECT_EQ(Fault().code(), ErrorCode::kShardNumbering);
  for (uint32_t rank = 0; rank < 4; ++rank) std::filesystem::remove(dir_ / FileName(rank, 4));
  ASSERT_EQ(Checkpoint::FindFaults(dir_.path()).size(), 0u);
  for (const char* name : {"model.safetensors", "model01-mp2.safetensors", "model2-mp2.safetensors",
                           "model0-mp0.safetensors"}) {
    std::filesystem::copy_file(dir_ / FileName(0, 2), dir_ / name);
    EXPECT_EQ(Fault().code(), ErrorCode::kExtraShard) << name;
    EXPECT_EQ(Fault().file(), (dir_ / name).string());
    std::filesystem::remove(dir_ / name);
  }
}

TEST_F(RankCheckpointTest, EveryTensorIsOnTheRanksThatItsRoleSays) {
  struct Case {
    const char* what;
    ErrorCode code;
    void (*spoil)(std::vector<Tensors>&);
    const char* file;
  };
  const Case cases[] = {
      {"missing on one rank", ErrorCode::kTensorNotInShard,
       [](auto& files) { files[1].erase("embed.weight"); }, "model1-mp4.safetensors"},
      {"another shape on one rank", ErrorCode::kWrongShape,
       [](auto& files) { files[2]["embed.weight"] = {Dtype::kBF16, {1, 6}, std::string(12, 'x')}; },
       "model2-mp4.safetensors"},
      {"another type on one rank", ErrorCode::kWrongDtype,
       [](auto& files) { files[3]["embed.weight"].dtype = Dtype::kF16; }, "model3-mp4.safetensors"},
      {"a name of no tensor", ErrorCode::kUnknownTensor,
       [](auto& files) { files[0]["layers.0.attn.wq.weight"] = files[0]["embed.weight"]; },
       "model0-mp4.safetensors"},
      {"an HF name", ErrorCode::kUnknownTensor,
       [](auto& files) { files[0]["model.norm.weight"] = files[0]["embed.weight"]; },
       "model0-mp4.safetensors"},
      {"an expert on another rank", ErrorCode::kTensorNotInShard,
       [](auto& files) { files[3].insert(files[2].extract("layers.1.ffn.experts.2.w1.weight")); },
       "model3-mp4.safetensors"},
      {"an expert on two ranks", ErrorCode::kTensorNotInShard,
       [](auto& files) {
         const char* name = "layers.1.ffn.experts.2.w1.weight";
         files[0][name] = files[2][name];
       },
       "model0-mp4.safetensors"},
      {"a cut vector", ErrorCode::kWrongShape,
       [](auto& files) {
         for (Tensors& file : files) file["embed.weight"].shape = {12};
       },
       "model0-mp4.safetensors"},
      {"a file cut short", ErrorCode::kTruncated, nullptr, "model1-mp4.safetensors"},
  };
  for (const Case& c : cases) {
    CutFor(4);
    if (c.spoil != nullptr) {
      c.spoil(files_);
      Write();
    } else {
      std::filesystem::resize_file(dir_ / c.file, std::filesystem::file_size(dir_ / c.file) - 1);
    }
    EXPECT_EQ(Name(Fault().code()), Name(c.code)) << c.what;
    EXPECT_TRUE(Fault().file().ends_with(c.file)) << c.what << ": " << Fault().Text();
  }
}

TEST_F(RankCheckpointTest, WithoutAConfigItSaysHowToGiveOne) {
  CutFor(2);
  std::filesystem::remove(dir_ / "config.json");
  EXPECT_EQ(Fault().code(), ErrorCode::kNoConfig);
  EXPECT_NE(Fault().Text().find("--config"), std::string::npos);
  dir_.Write("elsewhere/demo.json", kDemoConfig);
  CheckpointOptions options;
  options.config = dir_ / "elsewhere/demo.json";
  EXPECT_EQ(Open(options).tensors().size(), whole_.size());
  dir_.Write("config.json", R"({"dims": 6})");
  EXPECT_EQ(Fault().code(), ErrorCode::kBadConfig);
  Json config = *ParseJson(kDemoConfig);
  config["n_routed_experts"] = 5;
  dir_.Write("config.json", config.dump());
  EXPECT_EQ(Fault().code(), ErrorCode::kBadConfig);
}

TEST_F(RankCheckpointTest, AModelsOwnConfigNeedNotKnowThatTheMtpModuleWasLeftOut) {
  CutFor(2);
  Json config = *ParseJson(*Open().config_text());
  config["bos_token_id"] = 17;
  dir_.Write("config.json", config.dump());
  EXPECT_EQ(*Open().config_text(), config.dump());
  for (Tensors& file : files_) file.erase("mtp.0.eh_proj.weight");
  Write();
  config["num_nextn_predict_layers"] = 0;
  EXPECT_EQ(*Open().config_text(), RenderJson(config));
}

// As verify reads it.
TEST_F(RankCheckpointTest, OneFileByItselfIsWhatItIs) {
  CutFor(4);
  std::filesystem::remove(dir_ / "config.json");
  for (uint32_t rank = 0; rank < 4; ++rank) {
    const auto checkpoint = Checkpoint::Open(dir_ / FileName(rank, 4));
    ASSERT_TRUE(checkpoint) << checkpoint.error().Text();
    EXPECT_EQ(checkpoint->ranks(), 0u);
    ASSERT_EQ(checkpoint->tensors().size(), files_[rank].size());
    for (const TensorExtent& tensor : checkpoint->tensors()) {
      EXPECT_EQ(*Read(*checkpoint, tensor, 0, tensor.info.bytes()),
                files_[rank][tensor.info.name()].bytes);
    }
  }
}

TEST_F(RankCheckpointTest, TheFingerprintCoversEveryRank) {
  CutFor(2);
  const Digest before = Open().fingerprint();
  CutFor(2);
  EXPECT_EQ(Open().fingerprint(), before);
  files_[1]["layers.1.ffn.gate.bias"].dtype = Dtype::kI32;
  files_[0]["layers.1.ffn.gate.bias"].dtype = Dtype::kI32;
  Write();
  EXPECT_NE(Open().fingerprint(), before);
}

}  // namespace
}  // namespace tessera
