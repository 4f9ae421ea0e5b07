#include "verify/tensor_class.h"

#include <algorithm>
#include <iterator>
#include <optional>

namespace tessera {
namespace {

struct ModuleLabel {
  Module module;
  std::string_view label;
};

// In the order of the columns.
constexpr ModuleLabel kLabels[] = {
    {Module::kEmbedTokens, "embed_tokens"},
    {Module::kMtpEmbedTokens, "mtp embed_tokens"},
    {Module::kMtpENorm, "mtp enorm"},
    {Module::kMtpHNorm, "mtp hnorm"},
    {Module::kMtpEhProj, "mtp eh_proj"},
    {Module::kInputNorm, "input norm"},
    {Module::kQ, "q_proj"},
    {Module::kQA, "q_a_proj"},
    {Module::kQANorm, "q_a norm"},
    {Module::kQB, "q_b_proj"},
    {Module::kKvA, "kv_a_proj"},
    {Module::kKvANorm, "kv_a norm"},
    {Module::kKvB, "kv_b_proj"},
    {Module::kRotaryInvFreq, "inv_freq"},
    {Module::kIndexerWqB, "indexer wq_b"},
    {Module::kIndexerWk, "indexer wk"},
    {Module::kIndexerKNorm, "indexer k_norm"},
    {Module::kIndexerWeightsProj, "indexer weights"},
    {Module::kO, "o_proj"},
    {Module::kPostAttentionNorm, "post-attn norm"},
    {Module::kRouter, "router"},
    {Module::kGateProj, "gate_proj"},
    {Module::kUpProj, "up_proj"},
    {Module::kDownProj, "down_proj"},
    {Module::kFinalNorm, "final norm"},
    {Module::kLmHead, "lm_head"},
    {Module::kMtpHeadNorm, "mtp head norm"},
    {Module::kMtpHead, "mtp head"},
};

constexpr int32_t kPartsApart = 4, kMlpsApart = 200, kOther = 10'000;

std::string_view MlpLabel(Mlp mlp) {
  switch (mlp) {
    case Mlp::kNone:
      return "";
    case Mlp::kDense:
      return "dense ";
    case Mlp::kShared:
      return "shared ";
    case Mlp::kRouted:
      return "experts ";
  }
  return "";
}

}  // namespace

TensorPlace PlaceOf(const ModelSpec& spec, std::string_view name) {
  const std::optional<TensorRole> role = spec.Parse(name);
  if (!role) return {.kind = {.rank = kOther, .label = "other"}};
  const auto row = std::ranges::find(kLabels, role->module, &ModuleLabel::module);
  TESSERA_CHECK(row != std::end(kLabels));
  const bool bias = role->part == Part::kBias || role->part == Part::kRouterBias;
  // The projections of the three MLPs come mlp by mlp, before what follows them in the table.
  int32_t rank = static_cast<int32_t>(row - std::begin(kLabels)) * kPartsApart + (bias ? 1 : 0) +
                 static_cast<int32_t>(role->mlp) * kMlpsApart;
  const bool last = role->layer == -1 && role->module != Module::kEmbedTokens;
  if (last || role->module >= Module::kMtpHeadNorm) rank += kOther / 2;
  return {.kind = {.rank = rank,
                   .label = std::string(MlpLabel(role->mlp)) + std::string(row->label) +
                            (bias ? " bias" : "")},
          .layer = role->layer,
          .expert = role->expert};
}

}  // namespace tessera
