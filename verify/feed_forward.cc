#include "verify/feed_forward.h"

#include <algorithm>

namespace tessera {
namespace {

// down(silu(gate(x)) * up(x)); `role` says whose.
Result<void> ApplyMlp(const ForwardContext& context, TensorRole role, ConstMatrix x,
                      MatrixView<float> out) {
  const auto of = [&role](Module module) { return role.module = module, role; };
  TESSERA_ASSIGN(Matrix<float> gate, Linear(context, of(Module::kGateProj), x));
  TESSERA_ASSIGN(const Matrix<float> up, Linear(context, of(Module::kUpProj), x));
  context.threads.ForEach(x.rows, [&](size_t i) {
    SiluTimes(context.arithmetic, gate.view().Row(i), up.view().Row(i));
  });
  return ApplyLinear(context, of(Module::kDownProj), gate.view(), out);
}

// Where an expert's output goes.
struct Share {
  uint64_t token;
  float weight;
};

std::vector<std::vector<Share>> SharesByExpert(const Routing& routing, uint32_t experts) {
  std::vector<std::vector<Share>> shares(experts);
  for (size_t i = 0; i < routing.experts.size(); ++i) {
    shares[routing.experts[i]].push_back({i / routing.top_k, routing.weights[i]});
  }
  return shares;
}

// Experts [begin, end) and their outputs, one row a share.
struct ExpertBatch {
  uint32_t begin = 0, end = 0;
  std::vector<uint64_t> first_row;  // of each expert, and the number of rows
};

ExpertBatch NextBatch(const std::vector<std::vector<Share>>& shares, uint32_t begin) {
  ExpertBatch batch{begin, begin, {0}};
  do {
    batch.first_row.push_back(batch.first_row.back() + shares[batch.end].size());
    ++batch.end;
  } while (batch.end < shares.size() &&
           batch.first_row.back() + shares[batch.end].size() <= kRoutedRows);
  return batch;
}

Result<void> RunExpert(const ForwardContext& context, const TensorRole& role, ConstMatrix x,
                       const std::vector<Share>& shares, MatrixView<float> out) {
  if (shares.empty()) return {};
  Matrix<float> input(shares.size(), x.cols);
  for (size_t i = 0; i < shares.size(); ++i) {
    std::ranges::copy(x.Row(shares[i].token), input.view().row(i));
  }
  TESSERA_TRY(ApplyMlp(context, role, input.view(), out));
  for (size_t i = 0; i < shares.size(); ++i) {
    for (float& value : out.Row(i)) value *= shares[i].weight;
    Round(context.arithmetic, out.Row(i));
  }
  return {};
}

// Adds a batch's rows to their tokens, by expert number whatever finished first.
void Combine(const ForwardContext& context, const std::vector<std::vector<Share>>& shares,
             const ExpertBatch& batch, ConstMatrix rows, MatrixView<float> sum) {
  constexpr uint64_t kColumns = 512;
  context.threads.ForEach((sum.cols + kColumns - 1) / kColumns, [&](size_t i) {
    const uint64_t begin = i * kColumns, end = std::min(begin + kColumns, sum.cols);
    for (uint32_t expert = batch.begin; expert < batch.end; ++expert) {
      const uint64_t first = batch.first_row[expert - batch.begin];
      for (size_t k = 0; k < shares[expert].size(); ++k) {
        AddTo(context.arithmetic, sum.Cols(begin, end).Row(shares[expert][k].token),
              rows.Cols(begin, end).Row(first + k));
      }
    }
  });
}

Result<void> AddRoutedExperts(const ForwardContext& context, TensorRole role,
                              const Routing& routing, ConstMatrix x, MatrixView<float> sum) {
  const auto shares = SharesByExpert(routing, context.spec.n_routed_experts);
  for (uint32_t next = 0; next < shares.size();) {
    const ExpertBatch batch = NextBatch(shares, next);
    next = batch.end;
    Matrix<float> rows(batch.first_row.back(), x.cols);
    TESSERA_TRY(context.threads.TryForEach(batch.end - batch.begin, [&](size_t i) {
      TensorRole expert = role;
      expert.expert = static_cast<int32_t>(batch.begin + i);
      const auto out = rows.view().Rows(batch.first_row[i], batch.first_row[i + 1]);
      return RunExpert(context, expert, x, shares[batch.begin + i], out);
    }));
    Combine(context, shares, batch, rows.view(), sum);
  }
  return {};
}

}  // namespace

Result<FeedForwardOutput> FeedForward(const ForwardContext& context, uint32_t layer,
                                      ConstMatrix x) {
  TensorRole role{.mlp = Mlp::kDense, .layer = static_cast<int32_t>(layer)};
  FeedForwardOutput out{Matrix<float>(x.rows, x.cols), std::nullopt};
  if (!context.spec.IsMoeLayer(layer)) {
    TESSERA_TRY(ApplyMlp(context, role, x, out.values.view()));
    return out;
  }
  TESSERA_ASSIGN(out.routing, Route(context, layer, x));
  std::ranges::fill(out.values.values(), 0.0f);
  role.mlp = Mlp::kRouted;
  TESSERA_TRY(AddRoutedExperts(context, role, *out.routing, x, out.values.view()));
  if (context.spec.n_shared_experts == 0) return out;
  role.mlp = Mlp::kShared;
  Matrix<float> shared(x.rows, x.cols);
  TESSERA_TRY(ApplyMlp(context, role, x, shared.view()));
  AddTo(context.arithmetic, out.values.values(), shared.values());
  return out;
}

}  // namespace tessera
