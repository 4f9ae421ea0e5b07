#include "verify/indexer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "verify/matrix_product.h"

namespace tessera {
namespace {

constexpr double kKeyNormEps = 1e-6;

struct IndexerInputs {
  Matrix<float> queries;  // [tokens, heads * dim], rotated
  Matrix<float> keys;     // [tokens, dim], normed, rotated
  Matrix<float> weights;  // [tokens, heads]
};

Result<IndexerInputs> Project(const ForwardContext& context, uint32_t layer, const RopeTable& rope,
                              ConstMatrix x, ConstMatrix query) {
  const ModelSpec& spec = context.spec;
  TensorRole role{.layer = static_cast<int32_t>(layer)};
  const auto of = [&role](Module module) { return role.module = module, role; };
  IndexerInputs in;
  TESSERA_ASSIGN(in.queries, Linear(context, of(Module::kIndexerWqB), query));
  TESSERA_ASSIGN(in.keys, Linear(context, of(Module::kIndexerWk), x));
  // In F32 whatever the arithmetic: the models keep this weight so.
  ForwardContext exact = context;
  exact.arithmetic = Arithmetic::kF32;
  TESSERA_ASSIGN(in.weights, Linear(exact, of(Module::kIndexerWeightsProj), x));
  TESSERA_ASSIGN(const auto norm, context.weights.ReadAll(of(Module::kIndexerKNorm)));
  role.part = Part::kBias;
  TESSERA_ASSIGN(const auto bias, context.weights.ReadAll(role));
  // Here the rotated part comes first in a head, and pairs are halves in V3.2.
  const bool interleaved = context.config.indexer_rope_interleave;
  context.threads.ForEach(x.rows, [&](size_t i) {
    LayerNorm(context.arithmetic, in.keys.view().Row(i), norm, bias, kKeyNormEps);
    rope.Rotate(i, interleaved, in.keys.view().row(i));
    for (uint64_t head = 0; head < spec.index_n_heads; ++head) {
      rope.Rotate(i, interleaved, in.queries.view().row(i) + head * spec.index_head_dim);
    }
  });
  return in;
}

// sum over heads of weight * relu(query . key), for the keys up to the query's own.
void ScoreKeys(const ModelSpec& spec, const IndexerInputs& in, uint64_t query,
               std::vector<double>& scores) {
  const uint64_t heads = spec.index_n_heads, dim = spec.index_head_dim, keys = query + 1;
  // Positive factors, common to all keys: 1 / sqrt(dim) and 1 / sqrt(heads), change no choice.
  Matrix<float> products(heads, keys);
  MultiplyTransposed({in.queries.view().row(query), heads, dim, dim}, in.keys.view().Rows(0, keys),
                     products.view());
  scores.assign(keys, 0);
  for (uint64_t head = 0; head < heads; ++head) {
    const double weight = double{in.weights.view().row(query)[head]};
    const float* product = products.view().row(head);
    for (uint64_t key = 0; key < keys; ++key) {
      if (product[key] > 0) scores[key] += weight * double{product[key]};
    }
  }
}

}  // namespace

Result<KeySelection> SelectKeys(const ForwardContext& context, uint32_t layer,
                                const RopeTable& rope, ConstMatrix x, ConstMatrix query) {
  const uint64_t top_k = context.spec.index_topk;
  if (x.rows <= top_k) return KeySelection();
  TESSERA_ASSIGN(const IndexerInputs in, Project(context, layer, rope, x, query));
  KeySelection selection(x.rows);
  context.threads.ForEach(x.rows, [&](size_t i) {
    thread_local std::vector<double> scores;
    ScoreKeys(context.spec, in, i, scores);
    std::vector<uint64_t> order(i + 1);
    std::iota(order.begin(), order.end(), uint64_t{0});
    const size_t chosen = std::min<size_t>(top_k, order.size());
    // Of equals the earlier: the order is total, so the choice is one.
    std::ranges::nth_element(order, order.begin() + static_cast<ptrdiff_t>(chosen) - 1,
                             [&](uint64_t a, uint64_t b) {
                               return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
                             });
    for (size_t k = 0; k < chosen; ++k) selection.Select(i, order[k]);
  });
  return selection;
}

}  // namespace tessera
