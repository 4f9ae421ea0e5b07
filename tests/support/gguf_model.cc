#include "tests/support/gguf_model.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "formats/container.h"
#include "formats/gguf_names.h"
#include "formats/json.h"
#include "formats/model_spec.h"

namespace tessera {
namespace {

constexpr const char* kConfig = R"({
  "model_type": "deepseek_v3", "hidden_size": 64, "num_hidden_layers": 3,
  "num_nextn_predict_layers": 0, "first_k_dense_replace": 1, "intermediate_size": 96,
  "moe_intermediate_size": 32, "n_routed_experts": 12, "n_shared_experts": 1,
  "num_experts_per_tok": 2, "num_attention_heads": 2, "q_lora_rank": 32, "kv_lora_rank": 32,
  "qk_nope_head_dim": 32, "qk_rope_head_dim": 8, "v_head_dim": 16, "vocab_size": 40,
  "topk_method": "noaux_tc", "scoring_func": "sigmoid"})";

ModelSpec TinySpec() { return ModelSpec::FromConfig(ParseJson(kConfig).value()).value(); }

}  // namespace

GgufMetadata TinyGgufMetadata() {
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

std::vector<GgufTensor> TinyGgufTensors() {
  const ModelSpec spec = TinySpec();
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
  std::vector<GgufTensor> tensors;
  std::mt19937 random(1);
  for (const auto& [name, info] : infos) {
    GgufTensor tensor{info, std::string(info.bytes(), '\0')};
    std::ranges::generate(tensor.bytes, [&] { return static_cast<char>(random()); });
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void WriteGguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               std::span<const GgufTensor> tensors) {
  std::vector<const TensorInfo*> infos;
  for (const GgufTensor& tensor : tensors) infos.push_back(&tensor.info);
  const FileLayout layout = MakeGgufContainer(metadata)->Layout(infos).value();
  std::string file = layout.header;
  file.resize(layout.bytes);
  for (size_t i = 0; i < tensors.size(); ++i) {
    file.replace(layout.offsets[i], tensors[i].bytes.size(), tensors[i].bytes);
  }
  std::ofstream(path, std::ios::binary) << file;
}

}  // namespace tessera
