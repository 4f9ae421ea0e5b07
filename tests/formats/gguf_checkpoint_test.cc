// GGUF files opened as the model that they hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/container.h"
#include "formats/gguf_names.h"
#include "formats/model_spec.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = R"({
  "model_type": "deepseek_v3", "hidden_size": 64, "num_hidden_layers": 3,
  "num_nextn_predict_layers": 0, "first_k_dense_replace": 1, "intermediate_size": 96,
  "moe_intermediate_size": 32, "n_routed_experts": 12, "n_shared_experts": 1,
  "num_experts_per_tok": 2, "num_attention_heads": 2, "q_lora_rank": 32, "kv_lora_rank": 32,
  "qk_nope_head_dim": 32, "qk_rope_head_dim": 8, "v_head_dim": 16, "vocab_size": 40,
  "topk_method": "noaux_tc", "scoring_func": "sigmoid"})";

ModelSpec Spec() { return ModelSpec::FromConfig(ParseJson(kConfig).value()).value(); }

GgufMetadata Described() {
  const auto key = [](const char* name) { return "deepseek2." + std::string(name); };
  return {{"general.architecture", std::string("deepseek2")},
          {key("block_count"), uint32_t{3}},
          {key("context_length"), uint32_t{163840}},
          {key("embedding_length"), uint32_t{64}},
          {key("feed_forward_length"), uint32_t{96}},
          {key("attention.head_count"), uint32_t{2}},
          {key("attention.head_count_kv"), uint32_t{1}},
          {key("rope.scaling.type"), std::string("yarn")},
          {key("rope.scaling.factor"), 40.0f},
          {key("rope.scaling.original_context_length"), uint32_t{4096}},
          {key("rope.scaling.yarn_beta_fast"), 32.0f},
          {key("rope.scaling.yarn_beta_slow"), 1.0f},
          {key("rope.scaling.yarn_log_multiplier"), 0.1f * 0.707f},
          {key("rope.freq_base"), 10000.0f},
          {key("attention.layer_norm_rms_epsilon"), 1e-6f},
          {key("expert_count"), uint32_t{12}},
          {key("expert_used_count"), uint32_t{2}},
          {key("expert_group_count"), uint32_t{4}},
          {key("expert_group_used_count"), uint32_t{2}},
          {key("expert_gating_func"), uint32_t{2}},
          {key("leading_dense_block_count"), uint32_t{1}},
          {key("vocab_size"), uint32_t{40}},
          {key("attention.q_lora_rank"), uint32_t{32}},
          {key("attention.kv_lora_rank"), uint32_t{32}},
          {key("attention.key_length"), uint32_t{40}},
          {key("attention.value_length"), uint32_t{32}},
          {key("attention.key_length_mla"), uint32_t{40}},
          {key("attention.value_length_mla"), uint32_t{16}},
          {key("expert_feed_forward_length"), uint32_t{32}},
          {key("expert_shared_count"), uint32_t{1}},
          {key("expert_weights_scale"), 2.5f},
          {key("expert_weights_norm"), true},
          {key("rope.dimension_count"), uint32_t{8}}};
}

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

struct Tensor {
  TensorInfo info;
  std::string bytes;
};

// The model's tensors as GGUF names and stacks them, by name; routed experts in Q8_0.
std::vector<Tensor> Tensors(const ModelSpec& spec) {
  std::map<std::string, TensorInfo> infos;
  const auto add = [&](const std::string& name, Dtype dtype, Shape shape) {
    infos.emplace(name, TensorInfo::Make(name, dtype, std::move(shape)).value());
  };
  spec.ForEach([&](const TensorRole& role) {
    const Shape shape = *spec.ShapeOf(role);
    if (role.module == Module::kKvB) {
      const uint64_t heads = spec.num_attention_heads, rank = spec.kv_lora_rank;
      add(*GgufNameOf(role, 0), Dtype::kF32, {heads, rank, spec.qk_nope_head_dim});
      add(*GgufNameOf(role, 1), Dtype::kF32, {heads, spec.v_head_dim, rank});
    } else if (role.mlp == Mlp::kRouted) {
      add(*GgufNameOf(role), Dtype::kQ8_0, {spec.n_routed_experts, shape[0], shape[1]});
    } else {
      add(*GgufNameOf(role), Dtype::kF32, shape);
    }
  });
  std::vector<Tensor> tensors;
  std::mt19937 random(1);
  for (const auto& [name, info] : infos) {
    Tensor tensor{info, std::string(info.bytes(), '\0')};
    std::ranges::generate(tensor.bytes, [&] { return static_cast<char>(random()); });
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void Write(const fs::path& path, const GgufMetadata& metadata, std::span<const Tensor> tensors) {
  std::vector<const TensorInfo*> infos;
  for (const Tensor& tensor : tensors) infos.push_back(&tensor.info);
  const FileLayout layout = MakeGgufContainer(metadata)->Layout(infos).value();
  std::string file = layout.header;
  file.resize(layout.bytes);
  for (size_t i = 0; i < tensors.size(); ++i) {
    file.replace(layout.offsets[i], tensors[i].bytes.size(), tensors[i].bytes);
  }
  std::ofstream(path, std::ios::binary) << file;
}

std::string Read(const Checkpoint& checkpoint, std::string_view name) {
  const TensorExtent* tensor = checkpoint.Find(name);
  if (tensor == nullptr) return "no such tensor";
  std::string bytes(tensor->info.bytes(), '\0');
  EXPECT_TRUE(checkpoint.ReadBytes(*tensor, 0, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

const Tensor& Named(const std::vector<Tensor>& tensors, std::string_view name) {
  return *std::ranges::find_if(tensors, [&](const Tensor& t) { return t.info.name() == name; });
}

std::vector<Tensor> AllBut(std::vector<Tensor> tensors, std::string_view name) {
  std::erase_if(tensors, [&](const Tensor& t) { return t.info.name() == name; });
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
  const std::vector<Tensor> tensors = Tensors(Spec());
  Write(path, Described(), tensors);
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
  Write(path, Described(), Tensors(Spec()));
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
    Write(path, Without(Described(), optional.back()), Tensors(Spec()));
    const auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened) << d.key << opened.error().Text();
    EXPECT_EQ(ParseJson(*opened->config_text())->at(d.field), d.value) << d.key;
  }
  Write(path, Without(Described(), "deepseek2.rope.scaling.yarn_log_multiplier"), Tensors(Spec()));
  const Json config = ParseJson(*Checkpoint::Open(path)->config_text()).value();
  EXPECT_FALSE(config.at("rope_scaling").contains("mscale"));
  optional.insert(optional.end(),
                  {"deepseek2.rope.scaling.yarn_log_multiplier", "deepseek2.expert_gating_func",
                   "deepseek2.attention.q_lora_rank", "deepseek2.attention.key_length_mla",
                   "deepseek2.attention.value_length_mla"});
  for (const auto& [key, value] : Described()) {
    if (std::ranges::find(optional, key) != optional.end()) continue;
    Write(path, Without(Described(), key), Tensors(Spec()));
    ExpectRefused(path, ErrorCode::kBadMetadata, key);
    Write(path, With(Described(), key, int32_t{1}), Tensors(Spec()));
    ExpectRefused(path, ErrorCode::kBadMetadata, key);
  }
}

TEST(GgufCheckpoint, OldFilesGiveTheHeadsOwnSizes) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  GgufMetadata metadata = Described();
  for (const char* key : {"attention.key_length_mla", "attention.value_length_mla"}) {
    metadata = Without(std::move(metadata), "deepseek2." + std::string(key));
  }
  metadata = With(std::move(metadata), "deepseek2.attention.value_length", uint32_t{16});
  std::vector<Tensor> tensors = Tensors(Spec());
  for (const char* layer : {"0", "1", "2"}) {
    const std::string block = "blk." + std::string(layer);
    tensors =
        AllBut(AllBut(std::move(tensors), block + ".attn_k_b.weight"), block + ".attn_v_b.weight");
    const std::string name = block + ".attn_kv_b.weight";
    const TensorInfo info = TensorInfo::Make(name, Dtype::kF32, {96, 32}).value();
    tensors.push_back({info, std::string(info.bytes(), 'w')});
  }
  Write(path, metadata, tensors);
  const auto opened = Checkpoint::Open(path);
  ASSERT_TRUE(opened) << opened.error().Text();
  EXPECT_TRUE(CheckCompleteness(*ModelSpec::Of(*opened), *opened).faults.empty());
}

TEST(GgufCheckpoint, RefusesTensorsThatItDoesNotKnow) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  for (const char* name :
       {"blk.1.ffn_gate_up_exps.weight", "rope_freqs.weight", "blk.01.attn_norm.weight"}) {
    std::vector<Tensor> tensors = Tensors(Spec());
    tensors.push_back({TensorInfo::Make(name, Dtype::kF32, {1}).value(), "1234"});
    Write(path, Described(), tensors);
    ExpectRefused(path, ErrorCode::kUnknownTensor, name);
  }
  Write(path, With(Described(), "deepseek2.expert_count", uint32_t{16}), Tensors(Spec()));
  ExpectRefused(path, ErrorCode::kWrongShape, "exps");
}

TEST(GgufCheckpoint, OtherArchitecturesAreShownAsTheyAre) {
  const TempDir dir;
  const fs::path path = dir.path() / "x.gguf";
  const std::vector<Tensor> tensors = Tensors(Spec());
  for (const char* architecture : {"llama", "deepseek32", ""}) {
    Write(path, With(Described(), "general.architecture", std::string(architecture)), tensors);
    const auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened) << opened.error().Text();
    EXPECT_EQ(opened->tensors().size(), tensors.size());
    EXPECT_NE(opened->Find("blk.1.ffn_down_exps.weight"), nullptr);
    EXPECT_FALSE(opened->config_text());
    const auto spec = ModelSpec::Of(*opened);
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().code(), ErrorCode::kUnsupported);
  }
  Write(path, {}, {});
  EXPECT_EQ(ModelSpec::Of(*Checkpoint::Open(path)).error().code(), ErrorCode::kUnsupported);
}

GgufMetadata SplitKeys(GgufMetadata metadata, uint16_t number, uint16_t count, int32_t tensors) {
  metadata = With(std::move(metadata), "split.no", number);
  metadata = With(std::move(metadata), "split.count", count);
  return With(std::move(metadata), "split.tensors.count", tensors);
}

// The first without tensors, as converters can be told to write it.
void WriteSplit(const fs::path& dir, const std::vector<Tensor>& tensors) {
  const auto all = static_cast<int32_t>(tensors.size());
  const std::span<const Tensor> rest(tensors);
  Write(dir / "m-00001-of-00003.gguf", SplitKeys(Described(), 0, 3, all), {});
  Write(dir / "m-00002-of-00003.gguf", SplitKeys({}, 1, 3, all), rest.first(20));
  Write(dir / "m-00003-of-00003.gguf", SplitKeys({}, 2, 3, all), rest.subspan(20));
}

TEST(GgufCheckpoint, SplitFilesAreOneModel) {
  const TempDir dir;
  const std::vector<Tensor> tensors = Tensors(Spec());
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
  const std::vector<Tensor> tensors = Tensors(Spec());
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
  Write(second, SplitKeys({}, 1, 4, all), std::span(tensors).first(20));
  ExpectRefused(first, ErrorCode::kShardNumbering, "split.count");
  Write(second, SplitKeys({}, 1, 3, all), std::span(tensors).first(19));
  ExpectRefused(first, ErrorCode::kShardNumbering, "split.tensors.count");
  Write(second, With(SplitKeys({}, 1, 3, all), "split.no", uint32_t{1}),
        std::span(tensors).first(20));
  ExpectRefused(first, ErrorCode::kShardNumbering, "u32");
  Write(second, {}, std::span(tensors).first(20));
  ExpectRefused(first, ErrorCode::kShardNumbering, "no such key");
  Write(second, SplitKeys({}, 1, 3, all + 1), std::span(tensors).first(21));
  Write(first, SplitKeys(Described(), 0, 3, all + 1), {});
  Write(third, SplitKeys({}, 2, 3, all + 1), std::span(tensors).subspan(20));
  ExpectRefused(first, ErrorCode::kTensorInTwoShards, tensors[20].info.name());
}

TEST(GgufCheckpoint, OneFileIsNotOneOfSeveral) {
  const TempDir dir;
  const std::vector<Tensor> tensors = Tensors(Spec());
  const auto all = static_cast<int32_t>(tensors.size());
  const fs::path path = dir.path() / "x.gguf";
  Write(path, SplitKeys(Described(), 0, 2, all), tensors);
  ExpectRefused(path, ErrorCode::kShardNumbering, "split.count");
  Write(path, SplitKeys(Described(), 0, 0, 7), tensors);
  EXPECT_TRUE(Checkpoint::Open(path)) << "what a merge leaves";
  EXPECT_TRUE(Checkpoint::Open(dir.path())) << "alone in its folder";
  Write(dir.path() / "y.gguf", Described(), tensors);
  ExpectRefused(dir.path(), ErrorCode::kUnsupported, "y.gguf");
  ExpectRefused(dir.path() / "z.gguf", ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tessera
