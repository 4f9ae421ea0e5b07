#include "verify/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "verify/matrix_product.h"

namespace tessera {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The demo's scores are BF16 tensors.
double Held(Arithmetic arithmetic, double value) {
  return arithmetic == Arithmetic::kFp8 ? double{RoundedToBf16(static_cast<float>(value))} : value;
}

std::vector<double> Scores(const ForwardContext& context, std::span<const double> logits) {
  std::vector<double> scores(logits.begin(), logits.end());
  for (double& score : scores) score = Held(context.arithmetic, score);
  if (context.config.topk_method == TopkMethod::kNoauxTc) {
    for (double& score : scores) score = Held(context.arithmetic, 1 / (1 + std::exp(-score)));
    return scores;
  }
  const double max = std::ranges::max(scores);
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - max);
  for (double& score : scores) score /= sum;
  return scores;
}

// The `count` largest of `values` first, of equals the earlier one.
std::vector<uint32_t> Best(std::span<const double> values, size_t count) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::partial_sort(order, order.begin() + static_cast<ptrdiff_t>(count),
                            [&](uint32_t a, uint32_t b) {
                              return values[a] != values[b] ? values[a] > values[b] : a < b;
                            });
  return order;
}

// Experts outside the best groups get minus infinity: with 0 they would beat negative scores.
// Returns by how much the last group that is in beat the best one that is out.
double MaskGroups(const ForwardConfig& config, std::vector<double>& choice) {
  const size_t size = choice.size() / config.n_group;
  std::vector<double> group_scores;
  for (size_t group = 0; group < config.n_group; ++group) {
    std::vector<double> members(choice.begin() + static_cast<ptrdiff_t>(group * size),
                                choice.begin() + static_cast<ptrdiff_t>((group + 1) * size));
    std::ranges::sort(members, std::greater());
    const bool pair = config.topk_method == TopkMethod::kNoauxTc;
    group_scores.push_back(pair ? members[0] + members[1] : members[0]);
  }
  const size_t in = config.topk_group;
  const std::vector<uint32_t> best = Best(group_scores, std::min(in + 1, group_scores.size()));
  for (size_t i = in; i < best.size(); ++i) {
    std::fill_n(choice.begin() + static_cast<ptrdiff_t>(best[i] * size), size, -kInfinity);
  }
  return in == best.size() ? kInfinity : group_scores[best[in - 1]] - group_scores[best[in]];
}

}  // namespace

void ChooseExperts(const ForwardContext& context, std::span<const double> logits,
                   std::span<const float> bias, uint64_t token, Routing& routing) {
  const ForwardConfig& config = context.config;
  const std::vector<double> scores = Scores(context, logits);
  std::vector<double> choice = scores;
  for (size_t i = 0; i < bias.size(); ++i) choice[i] += double{bias[i]};
  std::ranges::transform(choice, routing.scores.view().row(token),
                         [](double score) { return static_cast<float>(score); });
  const bool grouped = config.topk_method != TopkMethod::kGreedy;
  routing.group_margins[token] =
      static_cast<float>(grouped ? MaskGroups(config, choice) : kInfinity);

  const size_t top_k = routing.top_k;
  const size_t runner_up = std::min(top_k + 1, choice.size());
  const std::vector<uint32_t> order = Best(choice, runner_up);
  const bool none_left = runner_up == top_k || choice[order[top_k]] == -kInfinity;
  routing.margins[token] =
      none_left ? std::numeric_limits<float>::infinity()
                : static_cast<float>(choice[order[top_k - 1]] - choice[order[top_k]]);

  double sum = 0;
  for (size_t i = 0; i < top_k; ++i) sum += scores[order[i]];
  sum = Held(context.arithmetic, sum);
  const bool demo = context.arithmetic == Arithmetic::kFp8;
  for (size_t i = 0; i < top_k; ++i) {
    double weight = scores[order[i]];
    if (config.norm_topk_prob)
      weight = Held(context.arithmetic, weight / (sum + (demo ? 0 : 1e-20)));
    weight = Held(context.arithmetic, weight * config.routed_scaling_factor);
    routing.experts[token * top_k + i] = order[i];
    routing.weights[token * top_k + i] = static_cast<float>(weight);
  }
}

Result<Routing> Route(const ForwardContext& context, uint32_t layer, ConstMatrix x) {
  const ModelSpec& spec = context.spec;
  TensorRole role{.module = Module::kRouter, .layer = static_cast<int32_t>(layer)};
  if (context.observer) context.observer(role, x);
  TESSERA_ASSIGN(const std::vector<float> weight, context.weights.ReadAll(role));
  std::vector<float> bias;
  if (spec.has_router_bias) {
    role.part = Part::kRouterBias;
    TESSERA_ASSIGN(bias, context.weights.ReadAll(role));
  }
  Matrix<double> wide(spec.n_routed_experts, x.cols);
  std::ranges::copy(weight, wide.values().begin());
  Routing routing(spec.num_experts_per_tok, x.rows, spec.n_routed_experts);
  constexpr uint64_t kTokens = 32;
  context.threads.ForEach((x.rows + kTokens - 1) / kTokens, [&](size_t i) {
    const uint64_t begin = i * kTokens, end = std::min(begin + kTokens, x.rows);
    Matrix<double> input(end - begin, x.cols), logits(end - begin, spec.n_routed_experts);
    for (uint64_t t = begin; t < end; ++t) {
      std::ranges::copy(x.Row(t), input.view().row(t - begin));
    }
    MultiplyTransposed(input.view(), wide.view(), logits.view());
    for (uint64_t t = begin; t < end; ++t) {
      ChooseExperts(context, logits.view().Row(t - begin), bias, t, routing);
    }
  });
  return routing;
}

}  // namespace tessera
