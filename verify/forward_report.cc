#include "verify/forward_report.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace tessera {
namespace {

// Calls `row(position, logits)` for all positions up to `positions`, and `sink` for their chunks.
Result<void> ForEachLogits(const ForwardPass& pass, uint64_t positions, const LogitsSink& sink,
                           const std::function<void(uint64_t, std::span<const float>)>& row) {
  const uint64_t vocab = pass.spec().vocab_size;
  Matrix<float> logits(std::min(kLogitTokens, positions), vocab);
  for (uint64_t begin = 0; begin < positions; begin += kLogitTokens) {
    const uint64_t end = std::min(begin + kLogitTokens, positions);
    const auto chunk = logits.values().first((end - begin) * vocab);
    TESSERA_TRY(pass.Logits(begin, end, chunk));
    if (sink) TESSERA_TRY(sink(begin, chunk));
    for (uint64_t i = begin; i < end; ++i) row(i, chunk.subspan((i - begin) * vocab, vocab));
  }
  return {};
}

Result<void> Draft(ForwardPass& pass, std::span<const uint32_t> tokens, ForwardReport& report) {
  TESSERA_TRY(pass.StartMtp());
  TESSERA_TRY(pass.Layer(pass.spec().num_hidden_layers));
  TESSERA_TRY(pass.Finish());
  const uint64_t drafts = tokens.size() - 1;
  uint64_t accepted = 0;
  double nll = 0;
  TESSERA_TRY(ForEachLogits(pass, drafts, {}, [&](uint64_t i, std::span<const float> logits) {
    accepted += ArgMax(logits) == report.top1[i + 1] ? 1 : 0;
    if (i + 2 < tokens.size()) nll += LogSumExp(logits) - double{logits[tokens[i + 2]]};
  }));
  report.mtp_acceptance = static_cast<double>(accepted) / static_cast<double>(drafts);
  if (drafts > 1) report.mtp_nll = nll / static_cast<double>(drafts - 1);
  return {};
}

}  // namespace

double LogSumExp(std::span<const float> logits) {
  const double max = double{std::ranges::max(logits)};
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - max);
  return max + std::log(sum);
}

std::vector<TokenProbability> LikeliestTokens(std::span<const float> logits, double log_sum,
                                              size_t count) {
  std::vector<TokenProbability> top;
  for (uint32_t token = 0; token < logits.size(); ++token) {
    const double logit = double{logits[token]};
    if (top.size() == count && logit <= top.back().logit) continue;
    if (top.size() == count) top.pop_back();
    const auto place =
        std::ranges::upper_bound(top, logit, std::greater(), &TokenProbability::logit);
    top.insert(place, {token, logit, std::exp(logit - log_sum)});
  }
  return top;
}

uint32_t ArgMax(std::span<const float> logits) {
  return static_cast<uint32_t>(std::ranges::max_element(logits) - logits.begin());
}

Result<ForwardReport> RunForward(ForwardPass& pass, std::span<const uint32_t> tokens,
                                 const LogitsSink& sink) {
  TESSERA_TRY(pass.Start(tokens));
  for (uint32_t layer = 0; layer < pass.spec().num_hidden_layers; ++layer) {
    TESSERA_TRY(pass.Layer(layer));
  }
  TESSERA_TRY(pass.Finish());
  ForwardReport report;
  double nll = 0;
  TESSERA_TRY(ForEachLogits(pass, tokens.size(), sink, [&](uint64_t i, auto logits) {
    const double log_sum = LogSumExp(logits);
    report.top_k.push_back(LikeliestTokens(logits, log_sum, kReportedTopK));
    report.top1.push_back(report.top_k.back()[0].token);
    if (i + 1 < tokens.size()) nll += log_sum - double{logits[tokens[i + 1]]};
  }));
  if (tokens.size() > 1) report.nll = nll / static_cast<double>(tokens.size() - 1);
  if (pass.has_mtp() && tokens.size() > 1) TESSERA_TRY(Draft(pass, tokens, report));
  return report;
}

}  // namespace tessera
