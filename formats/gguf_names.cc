#include "formats/gguf_names.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace tessera {
namespace {

struct NameRow {
  Module module;
  Mlp mlp;
  Part part;
  uint32_t kv_part;
  bool in_layer;
  std::string_view name;  // behind "blk.N." if in a layer
};

constexpr NameRow Global(Module module, std::string_view name) {
  return {module, Mlp::kNone, Part::kWeight, 0, false, name};
}
constexpr NameRow InLayer(Module module, std::string_view name, uint32_t kv_part = 0) {
  return {module, Mlp::kNone, Part::kWeight, kv_part, true, name};
}
constexpr NameRow Projection(Module module, Mlp mlp, std::string_view name) {
  return {module, mlp, Part::kWeight, 0, true, name};
}

constexpr NameRow kNames[] = {
    Global(Module::kEmbedTokens, "token_embd.weight"),
    Global(Module::kFinalNorm, "output_norm.weight"),
    Global(Module::kLmHead, "output.weight"),
    InLayer(Module::kInputNorm, "attn_norm.weight"),
    InLayer(Module::kPostAttentionNorm, "ffn_norm.weight"),
    InLayer(Module::kQ, "attn_q.weight"),
    InLayer(Module::kQA, "attn_q_a.weight"),
    InLayer(Module::kQANorm, "attn_q_a_norm.weight"),
    InLayer(Module::kQB, "attn_q_b.weight"),
    InLayer(Module::kKvA, "attn_kv_a_mqa.weight"),
    InLayer(Module::kKvANorm, "attn_kv_a_norm.weight"),
    InLayer(Module::kKvB, "attn_k_b.weight", 0),
    InLayer(Module::kKvB, "attn_v_b.weight", 1),
    InLayer(Module::kO, "attn_output.weight"),
    InLayer(Module::kRouter, "ffn_gate_inp.weight"),
    {Module::kRouter, Mlp::kNone, Part::kRouterBias, 0, true, "exp_probs_b.bias"},
    Projection(Module::kGateProj, Mlp::kDense, "ffn_gate.weight"),
    Projection(Module::kUpProj, Mlp::kDense, "ffn_up.weight"),
    Projection(Module::kDownProj, Mlp::kDense, "ffn_down.weight"),
    Projection(Module::kGateProj, Mlp::kShared, "ffn_gate_shexp.weight"),
    Projection(Module::kUpProj, Mlp::kShared, "ffn_up_shexp.weight"),
    Projection(Module::kDownProj, Mlp::kShared, "ffn_down_shexp.weight"),
    Projection(Module::kGateProj, Mlp::kRouted, "ffn_gate_exps.weight"),
    Projection(Module::kUpProj, Mlp::kRouted, "ffn_up_exps.weight"),
    Projection(Module::kDownProj, Mlp::kRouted, "ffn_down_exps.weight"),
    InLayer(Module::kMtpEmbedTokens, "nextn.embed_tokens.weight"),
    InLayer(Module::kMtpENorm, "nextn.enorm.weight"),
    InLayer(Module::kMtpHNorm, "nextn.hnorm.weight"),
    InLayer(Module::kMtpEhProj, "nextn.eh_proj.weight"),
    InLayer(Module::kMtpHeadNorm, "nextn.shared_head_norm.weight"),
    InLayer(Module::kMtpHead, "nextn.shared_head_head.weight"),
};

constexpr std::string_view kLayerPrefix = "blk.";

}  // namespace

std::optional<std::string> GgufNameOf(const TensorRole& role, uint32_t part) {
  const auto row = std::ranges::find_if(kNames, [&](const NameRow& r) {
    return r.module == role.module && r.mlp == role.mlp && r.part == role.part && r.kv_part == part;
  });
  if (row == std::end(kNames)) return std::nullopt;
  if (!row->in_layer) return std::string(row->name);
  return std::string(kLayerPrefix) + std::to_string(role.layer) + "." + std::string(row->name);
}

std::optional<GgufTensorRole> ParseGgufName(std::string_view name) {
  int32_t layer = -1;
  if (name.starts_with(kLayerPrefix)) {
    name.remove_prefix(kLayerPrefix.size());
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
    const auto digits = static_cast<size_t>(end - name.data());
    const bool spelled = error == std::errc() && layer >= 0 && (name[0] != '0' || digits == 1);
    if (!spelled || digits == name.size() || *end != '.') return std::nullopt;
    name.remove_prefix(digits + 1);
  }
  const auto row = std::ranges::find_if(
      kNames, [&](const NameRow& r) { return r.in_layer == (layer >= 0) && r.name == name; });
  if (row == std::end(kNames)) return std::nullopt;
  return GgufTensorRole{
      .role = {.module = row->module, .mlp = row->mlp, .part = row->part, .layer = layer},
      .part = row->kv_part};
}

}  // namespace tessera
