// What one pass says about a model on a text: how surprised it was, what it expected next.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "verify/forward.h"

namespace tessera {

struct TokenProbability {
  uint32_t token;
  double logit, probability;
};

struct ForwardReport {
  std::optional<double> nll;   // mean, in nats a token; none for a single token
  std::vector<uint32_t> top1;  // the likeliest next token at each position
  std::vector<std::vector<TokenProbability>> top_k;  // at each position, likeliest first
  // Of the MTP module's drafts of the token after next: the share whose greedy choice is the main
  // model's own, and how surprised they are by the text. None without a module or enough tokens.
  std::optional<double> mtp_acceptance, mtp_nll;
};

inline constexpr size_t kReportedTopK = 10;

// Receives rows of the main model's logits, in order: the first position, and the rows.
using LogitsSink = std::function<Result<void>(uint64_t first, std::span<const float> rows)>;

// Runs the whole pass; `sink` may be empty.
Result<ForwardReport> RunForward(ForwardPass& pass, std::span<const uint32_t> tokens,
                                 const LogitsSink& sink);

// Of equal values the first.
uint32_t ArgMax(std::span<const float> logits);
double LogSumExp(std::span<const float> logits);
// Likeliest first, of equals the smaller id. `log_sum` is LogSumExp(logits).
std::vector<TokenProbability> LikeliestTokens(std::span<const float> logits, double log_sum,
                                              size_t count);

}  // namespace tessera
