#include "verify/input_stats.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "formats/result.h"

namespace tessera {
namespace {

constexpr std::array kMeasured = {Module::kQ,        Module::kQA,       Module::kQB,
                                  Module::kKvA,      Module::kKvB,      Module::kO,
                                  Module::kRouter,   Module::kGateProj, Module::kUpProj,
                                  Module::kDownProj, Module::kMtpEhProj};

void AddSquares(ConstMatrix input, double* squares) {
  for (uint64_t i = 0; i < input.rows; ++i) {
    const float* x = input.row(i);
    for (uint64_t k = 0; k < input.cols; ++k) squares[k] += double{x[k]} * double{x[k]};
  }
}

TensorRole WithSameInput(TensorRole weight) {
  if (weight.module == Module::kUpProj) weight.module = Module::kGateProj;
  return weight;
}

}  // namespace

void InputStats::Add(ConstMatrix input) {
  squares.resize(input.cols);
  AddSquares(input, squares.data());
  for (uint64_t i = 0; i < input.rows; ++i) {
    for (const float x : input.Row(i)) amax = std::max(amax, std::abs(x));
  }
  tokens += input.rows;
}

std::vector<TensorRole> MeasuredLinears(const ModelSpec& spec, uint32_t layer) {
  std::vector<TensorRole> linears;
  spec.ForEach([&](const TensorRole& role) {
    const bool measured = role.layer == static_cast<int32_t>(layer) && role.expert <= 0 &&
                          role.part == Part::kWeight &&
                          std::ranges::find(kMeasured, role.module) != kMeasured.end();
    if (measured) linears.push_back(role);
  });
  return linears;
}

LayerStats::LayerStats(const ModelSpec& spec, uint32_t layer)
    : layer_(static_cast<int32_t>(layer)),
      k_squares_(uint64_t{spec.num_attention_heads} * spec.qk_nope_head_dim),
      v_squares_(uint64_t{spec.num_attention_heads} * spec.kv_lora_rank) {
  for (TensorRole role : MeasuredLinears(spec, layer)) {
    if (role.module == Module::kUpProj) continue;
    const uint32_t experts = role.mlp == Mlp::kRouted ? spec.n_routed_experts : 1;
    for (uint32_t i = 0; i < experts; ++i) {
      if (role.mlp == Mlp::kRouted) role.expert = static_cast<int32_t>(i);
      stats_.emplace(role, InputStats());
    }
  }
}

void LayerStats::Add(const TensorRole& weight, ConstMatrix input) {
  if (weight.module == Module::kUpProj) return;
  // No entry comes or goes, so that different ones may change at once.
  if (const auto it = stats_.find(weight); it != stats_.end()) it->second.Add(input);
}

void LayerStats::AddHead(uint32_t layer, uint64_t head, ConstMatrix query, ConstMatrix mixed) {
  if (static_cast<int32_t>(layer) != layer_) return;
  AddSquares(query, k_squares_.data() + head * query.cols);
  AddSquares(mixed, v_squares_.data() + head * mixed.cols);
}

const InputStats& LayerStats::Of(const TensorRole& weight) const {
  const auto it = stats_.find(WithSameInput(weight));
  TESSERA_CHECK(it != stats_.end());
  return it->second;
}

}  // namespace tessera
