// GGUF files opened as the model that they hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/model_spec.h"
#include "tests/support/gguf_model.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

GgufMetadata Without(GgufMetadata metadata, std::string_view key) {
  const auto gone = std::erase_if(metadata, [&](const auto& pair) { return pair.first == key; });
  EXPECT_EQ(gone, 1u) << key;
  return metadata;
}

GgufMetadata With(GgufMetadata metadata, std::string_view key, GgufValue value) {
  std::erase_if(metadata, [&](const auto& pair) { return pair.first == key; });
  metadata.emplace_back(key, std::move(value));
  return metadata;
}

std::string Read(const Checkpoint& checkpoint, std::string_view name) {
  const TensorExtent* tensor = checkpoint.Find(name);
  if (tensor == nullptr) return "no such tensor";
  std::string bytes(tensor->info.bytes(), '\0');
  EXPECT_TRUE(checkpoint.ReadBytes(*tensor, 0, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

const GgufTensor& Named(const std::vector<GgufTensor>& tensors, std::string_view name) {
  return *std::ranges::find_if(tensors, [&](const GgufTensor& t) { return t.info.name() == name; });
}

std::vector<GgufTensor> AllBut(std::vector<GgufTensor> tensors, std::string_view name) {
  std::erase_if(tensors, [&](const GgufTensor& t) { return t.info.name() == name; });
  return tensors;
}

void ExpectRefused(const fs::path& path, ErrorCode code, std::string_view word = "") {
  const auto opened = Checkpoint::Open(path);
  ASSERT_FALSE(opened) << path;
  EXPECT_EQ(Name(opened.error().code()), Name(code)) << opened.error().Text();
  EXPECT_NE(opened.error().Text().find(word), std::string::npos) << opened.error().Text();
}

TEST(GgufCheckpoint, ShowsTheModelAsHuggingFaceNamesIt) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  const std::vector<GgufTensor> tensors = TinyGgufTensors();
  WriteGguf(path, TinyGgufMetadata(), tensors);
  const auto opened = Checkpoint::Open(path);
  ASSERT_TRUE(opened) << opened.error().Text();
  const auto spec = ModelSpec::Of(*opened);
  ASSERT_TRUE(spec) << spec.error().Text();
  const CompletenessReport report = CheckCompleteness(*spec, *opened);
  EXPECT_TRUE(report.faults.empty()) << report.faults[0].Text();
  EXPECT_EQ(Read(*opened, "model.layers.2.self_attn.o_proj.weight"),
            Named(tensors, "blk.2.attn_output.weight").bytes);
  EXPECT_EQ(Read(*opened, "model.layers.1.mlp.gate.e_score_correction_bias"),
            Named(tensors, "blk.1.exp_probs_b.bias").bytes);
  EXPECT_EQ(Read(*opened, "model.layers.1.self_attn.kv_b_proj.k_b"),
            Named(tensors, "blk.1.attn_k_b.weight").bytes);
  EXPECT_EQ(Read(*opened, "model.layers.1.self_attn.kv_b_proj.v_b"),
            Named(tensors, "blk.1.attn_v_b.weight").bytes);
  // By number: 10 is behind 9, not behind 1.
  const std::string& stack = Named(tensors, "blk.1.ffn_down_exps.weight").bytes;
  for (size_t expert = 0; expert < 12; ++expert) {
    const std::string name =
        "model.layers.1.mlp.experts." + std::to_string(expert) + ".down_proj.weight";
    EXPECT_EQ(opened->Find(name)->info.Describe(), "Q8_0 [64, 32]");
    EXPECT_EQ(Read(*opened, name), stack.substr(expert * stack.size() / 12, stack.size() / 12));
  }
}

TEST(GgufCheckpoint, ConfigSaysWhatTheMetadataSay) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  WriteGguf(path, TinyGgufMetadata(), TinyGgufTensors());
  const Json config = ParseJson(*Checkpoint::Open(path)->config_text()).value();
  const Json want = ParseJson(R"({
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": false,
    "attention_dropout": 0.0, "first_k_dense_replace": 1, "hidden_act": "silu",
    "hidden_size": 64, "initializer_range": 0.02, "intermediate_size": 96, "kv_lora_rank": 32,
    "max_position_embeddings": 163840, "model_type": "deepseek_v3", "moe_intermediate_size": 32,
    "moe_layer_freq": 1, "n_group": 4, "n_routed_experts": 12, "n_shared_experts": 1,
    "norm_topk_prob": true, "num_attention_heads": 2, "num_experts_per_tok": 2,
    "num_hidden_layers": 3, "num_key_value_heads": 2, "num_nextn_predict_layers": 0,
    "q_lora_rank": 32, "qk_nope_head_dim": 32, "qk_rope_head_dim": 8, "rms_norm_eps": 1e-06,
    "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 40.0, "mscale": 0.707,
      "mscale_all_dim": 0.707, "original_max_position_embeddings": 4096, "type": "yarn"},
    "rope_theta": 10000.0, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid",
    "tie_word_embeddings": false, "topk_group": 2, "topk_method": "noaux_tc",
    "torch_dtype": "float32", "use_cache": true, "v_head_dim": 16, "vocab_size": 40})")
                        .value();
  EXPECT_EQ(config, want) << config.dump();
}

// What llama.cpp takes where a key is missing, and what it cannot do without.
TEST(GgufCheckpoint, MissingKeysMeanWhatTheyMeanToLlamaCpp) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  struct Default {
    const char* key;
    const char* field;
    Json value;
  };
  const Default defaults[] = {{"vocab_size", "vocab_size", 40},
                              {"expert_group_count", "n_group", 1},
                              {"expert_group_used_count", "topk_group", 1},
                              {"expert_weights_norm", "norm_topk_prob", false},
                              {"expert_weights_scale", "routed_scaling_factor", 1.0},
                              {"rope.freq_base", "rope_theta", 10000.0},
                              {"rope.scaling.type", "rope_scaling", nullptr},
                              {"attention.head_count_kv", "num_key_value_heads", 2},
                              {"attention.key_length", "qk_nope_head_dim", 32},
                              {"attention.value_length", "v_head_dim", 16},
                              {"rope.scaling.yarn_beta_fast", "qk_nope_head_dim", 32},
                              {"rope.scaling.yarn_beta_slow", "qk_nope_head_dim", 32}};
  std::vector<std::string> optional = {"general.architecture"};
  for (const Default& d : defaults) {
    optional.push_back("deepseek2." + std::string(d.key));
    WriteGguf(path, Without(TinyGgufMetadata(), optional.back()), TinyGgufTensors());
    const auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened) << d.key << opened.error().Text();
    EXPECT_EQ(ParseJson(*opened->config_text())->at(d.field), d.value) << d.key;
  }
  WriteGguf(path, Without(TinyGgufMetadata(), "deepseek2.rope.scaling.yarn_log_multiplier"),
            TinyGgufTensors());
  const Json config = ParseJson(*Checkpoint::Open(path)->config_text()).value();
  EXPECT_FALSE(config.at("rope_scaling").contains("mscale"));
  optional.insert(optional.end(),
                  {"deepseek2.rope.scaling.yarn_log_multiplier", "deepseek2.expert_gating_func",
                   "deepseek2.attention.q_lora_rank", "deepseek2.attention.key_length_mla",
                   "deepseek2.attention.value_length_mla"});
  for (const auto& [key, value] : TinyGgufMetadata()) {
    if (std::ranges::find(optional, key) != optional.end()) continue;
    WriteGguf(path, Without(TinyGgufMetadata(), key), TinyGgufTensors());
    ExpectRefused(path, ErrorCode::kBadMetadata, key);
    WriteGguf(path, With(TinyGgufMetadata(), key, int32_t{1}), TinyGgufTensors());
    ExpectRefused(path, ErrorCode::kBadMetadata, key);
  }
}

TEST(GgufCheckpoint, OldFilesGiveTheHeadsOwnSizes) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  GgufMetadata metadata = TinyGgufMetadata();
  for (const char* key : {"attention.key_length_mla", "attention.value_length_mla"}) {
    metadata = Without(std::move(metadata), "deepseek2." + std::string(key));
  }
  metadata = With(std::move(metadata), "deepseek2.attention.value_length", uint32_t{16});
  std::vector<GgufTensor> tensors = TinyGgufTensors();
  for (const char* layer : {"0", "1", "2"}) {
    const std::string block = "blk." + std::string(layer);
    tensors =
        AllBut(AllBut(std::move(tensors), block + ".attn_k_b.weight"), block + ".attn_v_b.weight");
    const std::string name = block + ".attn_kv_b.weight";
    const TensorInfo info = TensorInfo::Make(name, Dtype::kF32, {96, 32}).value();
    tensors.push_back({info, std::string(info.bytes(), 'w')});
  }
  WriteGguf(path, metadata, tensors);
  const auto opened = Checkpoint::Open(path);
  ASSERT_TRUE(opened) << opened.error().Text();
  EXPECT_TRUE(CheckCompleteness(*ModelSpec::Of(*opened), *opened).faults.empty());
}

TEST(GgufCheckpoint, RefusesTensorsThatItDoesNotKnow) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  for (const char* name :
       {"blk.1.ffn_gate_up_exps.weight", "rope_freqs.weight", "blk.01.attn_norm.weight",
        // Named as its architecture has it, but not in this model.
        "blk.3.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "blk.0.ffn_up_exps.weight",
        "blk.1.ffn_up.weight", "blk.1.attn_q.weight", "blk.99.attn_k_b.weight"}) {
    std::vector<GgufTensor> tensors = TinyGgufTensors();
    tensors.push_back({TensorInfo::Make(name, Dtype::kF32, {1}).value(), "1234"});
    WriteGguf(path, TinyGgufMetadata(), tensors);
    ExpectRefused(path, ErrorCode::kUnknownTensor, name);
  }
  WriteGguf(path, With(TinyGgufMetadata(), "deepseek2.expert_count", uint32_t{16}),
            TinyGgufTensors());
  ExpectRefused(path, ErrorCode::kWrongShape, "exps");
}

TEST(GgufCheckpoint, OtherArchitecturesAreShownAsTheyAre) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  const std::vector<GgufTensor> tensors = TinyGgufTensors();
  for (const char* architecture : {"llama", "deepseek32", ""}) {
    WriteGguf(path, With(TinyGgufMetadata(), "general.architecture", std::string(architecture)),
              tensors);
    const auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened) << opened.error().Text();
    EXPECT_EQ(opened->tensors().size(), tensors.size());
    EXPECT_NE(opened->Find("blk.1.ffn_down_exps.weight"), nullptr);
    EXPECT_FALSE(opened->config_text());
    const auto spec = ModelSpec::Of(*opened);
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().code(), ErrorCode::kUnsupported);
  }
  WriteGguf(path, {}, {});
  EXPECT_EQ(ModelSpec::Of(*Checkpoint::Open(path)).error().code(), ErrorCode::kUnsupported);
}

GgufMetadata SplitKeys(GgufMetadata metadata, uint16_t number, uint16_t count, int32_t tensors) {
  metadata = With(std::move(metadata), "split.no", number);
  metadata = With(std::move(metadata), "split.count", count);
  return With(std::move(metadata), "split.tensors.count", tensors);
}

// The first without tensors, as converters can be told to write it.
void WriteSplit(const fs::path& dir, const std::vector<GgufTensor>& tensors) {
  const auto all = static_cast<int32_t>(tensors.size());
  const std::span<const GgufTensor> rest(tensors);
  WriteGguf(dir / "m-00001-of-00003.gguf", SplitKeys(TinyGgufMetadata(), 0, 3, all), {});
  WriteGguf(dir / "m-00002-of-00003.gguf", SplitKeys({}, 1, 3, all), rest.first(20));
  WriteGguf(dir / "m-00003-of-00003.gguf", SplitKeys({}, 2, 3, all), rest.subspan(20));
}

TEST(GgufCheckpoint, SplitFilesAreOneModel) {
  const TempDir dir;
  const std::vector<GgufTensor> tensors = TinyGgufTensors();
  WriteSplit(dir.path(), tensors);
  for (const fs::path& path : {dir.path(), dir.path() / "m-00001-of-00003.gguf"}) {
    const auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened) << opened.error().Text();
    EXPECT_EQ(opened->shards().size(), 3u);
    EXPECT_TRUE(CheckCompleteness(*ModelSpec::Of(*opened), *opened).faults.empty());
    for (const char* name : {"output.weight", "token_embd.weight"}) {
      const char* hf = name[0] == 'o' ? "lm_head.weight" : "model.embed_tokens.weight";
      EXPECT_EQ(Read(*opened, hf), Named(tensors, name).bytes);
    }
  }
}

TEST(GgufCheckpoint, SplitFilesMustBeTheOnesTheirNamesSay) {
  const TempDir dir;
  const std::vector<GgufTensor> tensors = TinyGgufTensors();
  const fs::path first = dir.path() / "m-00001-of-00003.gguf";
  const fs::path second = dir.path() / "m-00002-of-00003.gguf";
  const fs::path third = dir.path() / "m-00003-of-00003.gguf";
  const auto all = static_cast<int32_t>(tensors.size());
  WriteSplit(dir.path(), tensors);
  ExpectRefused(second, ErrorCode::kUnsupported, "m-00001-of-00003.gguf");
  fs::rename(third, dir.path() / "elsewhere");
  ExpectRefused(first, ErrorCode::kMissingShard, "m-00003-of-00003.gguf");
  fs::rename(second, third);
  fs::rename(dir.path() / "elsewhere", second);
  ExpectRefused(first, ErrorCode::kShardNumbering, "split.no");
  WriteSplit(dir.path(), tensors);
  WriteGguf(second, SplitKeys({}, 1, 4, all), std::span(tensors).first(20));
  ExpectRefused(first, ErrorCode::kShardNumbering, "split.count");
  WriteGguf(second, SplitKeys({}, 1, 3, all), std::span(tensors).first(19));
  ExpectRefused(first, ErrorCode::kShardNumbering, "split.tensors.count");
  WriteGguf(second, With(SplitKeys({}, 1, 3, all), "split.no", uint32_t{1}),
            std::span(tensors).first(20));
  ExpectRefused(first, ErrorCode::kShardNumbering, "u32");
  WriteGguf(second, {}, std::span(tensors).first(20));
  ExpectRefused(first, ErrorCode::kShardNumbering, "no such key");
  WriteGguf(second, SplitKeys({}, 1, 3, all + 1), std::span(tensors).first(21));
  WriteGguf(first, SplitKeys(TinyGgufMetadata(), 0, 3, all + 1), {});
  WriteGguf(third, SplitKeys({}, 2, 3, all + 1), std::span(tensors).subspan(20));
  ExpectRefused(first, ErrorCode::kTensorInTwoShards, tensors[20].info.name());
}

TEST(GgufCheckpoint, OneFileIsNotOneOfSeveral) {
  const TempDir dir;
  const std::vector<GgufTensor> tensors = TinyGgufTensors();
  const auto all = static_cast<int32_t>(tensors.size());
  const fs::path path = dir.path() / "x.gguf";
  WriteGguf(path, SplitKeys(TinyGgufMetadata(), 0, 2, all), tensors);
  ExpectRefused(path, ErrorCode::kShardNumbering, "split.count");
  WriteGguf(path, SplitKeys(TinyGgufMetadata(), 0, 0, 7), tensors);
  EXPECT_TRUE(Checkpoint::Open(path)) << "what a merge leaves";
  EXPECT_TRUE(Checkpoint::Open(dir.path())) << "alone in its folder";
  WriteGguf(dir.path() / "y.gguf", TinyGgufMetadata(), tensors);
  ExpectRefused(dir.path(), ErrorCode::kUnsupported, "y.gguf");
  ExpectRefused(dir.path() / "z.gguf", ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tessera
