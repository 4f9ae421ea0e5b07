// Tensor names, both ways, from one table of modules.
#include <algorithm>
#include <iterator>

#include "formats/model_spec.h"

namespace tessera {
namespace {

// `path` lies between the layer prefix (or, of an MLP, its place in the layer) and the part.
struct ModuleRow {
  Module module;
  std::string_view hf, deepseek;
};
constexpr ModuleRow kGlobals[] = {
    {Module::kEmbedTokens, "model.embed_tokens", "embed"},
    {Module::kFinalNorm, "model.norm", "norm"},
    {Module::kLmHead, "lm_head", "head"},
};
constexpr ModuleRow kProjections[] = {
    {Module::kGateProj, "gate_proj", "w1"},
    {Module::kDownProj, "down_proj", "w2"},
    {Module::kUpProj, "up_proj", "w3"},
};
constexpr ModuleRow kInLayer[] = {
    {Module::kInputNorm, "input_layernorm", "attn_norm"},
    {Module::kPostAttentionNorm, "post_attention_layernorm", "ffn_norm"},
    {Module::kQ, "self_attn.q_proj", "attn.wq"},
    {Module::kQA, "self_attn.q_a_proj", "attn.wq_a"},
    {Module::kQANorm, "self_attn.q_a_layernorm", "attn.q_norm"},
    {Module::kQB, "self_attn.q_b_proj", "attn.wq_b"},
    {Module::kKvA, "self_attn.kv_a_proj_with_mqa", "attn.wkv_a"},
    {Module::kKvANorm, "self_attn.kv_a_layernorm", "attn.kv_norm"},
    {Module::kKvB, "self_attn.kv_b_proj", "attn.wkv_b"},
    {Module::kO, "self_attn.o_proj", "attn.wo"},
    {Module::kRotaryInvFreq, "self_attn.rotary_emb", "attn.rotary_emb"},
    {Module::kIndexerWqB, "self_attn.indexer.wq_b", "attn.indexer.wq_b"},
    {Module::kIndexerWk, "self_attn.indexer.wk", "attn.indexer.wk"},
    {Module::kIndexerWeightsProj, "self_attn.indexer.weights_proj", "attn.indexer.weights_proj"},
    {Module::kIndexerKNorm, "self_attn.indexer.k_norm", "attn.indexer.k_norm"},
    {Module::kRouter, "mlp.gate", "ffn.gate"},
    {Module::kMtpEmbedTokens, "embed_tokens", "embed"},
    {Module::kMtpENorm, "enorm", "enorm"},
    {Module::kMtpHNorm, "hnorm", "hnorm"},
    {Module::kMtpEhProj, "eh_proj", "eh_proj"},
    {Module::kMtpHeadNorm, "shared_head.norm", "norm"},
    {Module::kMtpHead, "shared_head.head", "head"},
};

// What W4AFP8's makers write of routed experts is `experts.0.w1.input_scale`; some write gate_proj.
constexpr std::string_view kInputScale = "input_scale";

// `deepseek` is empty for what the demo cannot hold.
struct PartRow {
  Part part;
  std::string_view hf, deepseek;
};
constexpr PartRow kParts[] = {
    {Part::kWeight, "weight", "weight"},
    {Part::kBias, "bias", "bias"},
    {Part::kRouterBias, "e_score_correction_bias", "bias"},
    {Part::kBuffer, "inv_freq", "inv_freq"},
    {Part::kPacked, "weight_packed", ""},
    {Part::kQWeight, "qweight", ""},
    {Part::kKeyHeads, "k_b", ""},
    {Part::kScaleInv, "weight_scale_inv", "scale"},
    {Part::kScale, "weight_scale", ""},
    {Part::kZeroPoint, "weight_zero_point", ""},
    {Part::kWeightShape, "weight_shape", ""},
    {Part::kOffset, "weight_offset", ""},
    {Part::kScales, "scales", ""},
    {Part::kZeros, "qzeros", ""},
    {Part::kGIdx, "g_idx", ""},
    {Part::kInputScale, kInputScale, ""},
    {Part::kValueHeads, "v_b", ""},
};

template <class Row>
constexpr std::string_view Spelling(const Row& row, NameStyle style) {
  return style == NameStyle::kHf ? row.hf : row.deepseek;
}

template <class Rows>
const ModuleRow* FindPath(const Rows& rows, std::string_view path, NameStyle style) {
  const auto row =
      std::ranges::find_if(rows, [&](const ModuleRow& r) { return Spelling(r, style) == path; });
  return row == std::end(rows) ? nullptr : &*row;
}

template <class Rows>
const ModuleRow* FindModule(const Rows& rows, Module module) {
  const auto row = std::ranges::find(rows, module, &ModuleRow::module);
  return row == std::end(rows) ? nullptr : &*row;
}

bool Skip(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// A decimal number as its own writer spells it, and the dot behind it.
std::optional<int32_t> TakeNumber(std::string_view& text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 6) return std::nullopt;
  if (text[0] == '0' && dot != 1) return std::nullopt;
  int32_t value = 0;
  for (const char c : text.substr(0, dot)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(dot + 1);
  return value;
}

std::string_view MlpPrefix(Mlp mlp, NameStyle style) {
  const bool hf = style == NameStyle::kHf;
  switch (mlp) {
    case Mlp::kNone:
      break;
    case Mlp::kDense:
      return hf ? "mlp." : "ffn.";
    case Mlp::kShared:
      return hf ? "mlp.shared_experts." : "ffn.shared_experts.";
    case Mlp::kRouted:
      return hf ? "mlp.experts." : "ffn.experts.";
  }
  return "";
}

// The module of `path`, which begins behind the layer prefix and ends before the part.
// `demo_projections`: w1, w2 and w3 are known too.
bool ParseInLayer(std::string_view path, NameStyle style, bool demo_projections, TensorRole& role) {
  if (const ModuleRow* row = FindPath(kInLayer, path, style)) {
    role.module = row->module;
    return true;
  }
  // The dense prefix begins the two others, so it comes last.
  for (const Mlp mlp : {Mlp::kRouted, Mlp::kShared, Mlp::kDense}) {
    if (!Skip(path, MlpPrefix(mlp, style))) continue;
    role.mlp = mlp;
    if (mlp == Mlp::kRouted) {
      const std::optional<int32_t> expert = TakeNumber(path);
      if (!expert) return false;
      role.expert = *expert;
    }
    const ModuleRow* row = FindPath(kProjections, path, style);
    if (row == nullptr && demo_projections) {
      row = FindPath(kProjections, path, NameStyle::kDeepSeek);
    }
    if (row != nullptr) role.module = row->module;
    return row != nullptr;
  }
  return false;
}

std::optional<Part> ParsePart(std::string_view text, NameStyle style, Module module) {
  for (const PartRow& row : kParts) {
    if (text.empty() || Spelling(row, style) != text) continue;
    // In DeepSeek's spelling the two biases differ by their module only.
    if (row.part == Part::kBias && style == NameStyle::kDeepSeek && module == Module::kRouter) {
      continue;
    }
    return row.part;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Part> PartOf(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  const auto row = std::ranges::find(kParts, last, &PartRow::hf);
  return row == std::end(kParts) ? std::nullopt : std::optional(row->part);
}

std::optional<TensorRole> ModelSpec::Parse(std::string_view name, NameStyle style) const {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view part_text = name.substr(dot + 1);
  std::string_view path = name.substr(0, dot);
  TensorRole role;
  if (const ModuleRow* row = FindPath(kGlobals, path, style)) {
    role.module = row->module;
  } else {
    const bool mtp = style == NameStyle::kDeepSeek && Skip(path, "mtp.");
    if (!mtp && !Skip(path, style == NameStyle::kHf ? "model.layers." : "layers.")) {
      return std::nullopt;
    }
    const std::optional<int32_t> number = TakeNumber(path);
    if (!number) return std::nullopt;
    role.layer = *number + (mtp ? static_cast<int32_t>(num_hidden_layers) : 0);
    // In DeepSeek's spelling an MTP layer has one name, not two.
    if (style == NameStyle::kDeepSeek && !mtp && IsMtp(role)) return std::nullopt;
    const bool demo_projections = part_text == kInputScale;
    if (!ParseInLayer(path, style, demo_projections, role)) return std::nullopt;
  }
  const std::optional<Part> part = ParsePart(part_text, style, role.module);
  if (!part) return std::nullopt;
  role.part = *part;
  if (!Has(role)) return std::nullopt;
  return role;
}

std::string ModelSpec::NameOf(const TensorRole& role, NameStyle style) const {
  TESSERA_CHECK(Has(role));
  std::string name;
  const ModuleRow* row = FindModule(kGlobals, role.module);
  if (row == nullptr) {
    if (style == NameStyle::kDeepSeek && IsMtp(role)) {
      name = "mtp." + std::to_string(role.layer - static_cast<int32_t>(num_hidden_layers)) + ".";
    } else {
      name = style == NameStyle::kHf ? "model.layers." : "layers.";
      name += std::to_string(role.layer) + ".";
    }
    name += MlpPrefix(role.mlp, style);
    if (role.mlp == Mlp::kRouted) name += std::to_string(role.expert) + ".";
    row = role.mlp == Mlp::kNone ? FindModule(kInLayer, role.module)
                                 : FindModule(kProjections, role.module);
  }
  name += Spelling(*row, role.part == Part::kInputScale ? NameStyle::kDeepSeek : style);
  name += '.';
  name += Spelling(*std::ranges::find(kParts, role.part, &PartRow::part), style);
  return name;
}

}  // namespace tessera
