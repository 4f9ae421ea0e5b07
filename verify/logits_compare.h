// What two models say of the same text: the list that llama-perplexity prints, over every position.
// Keeps a few numbers a position, never the logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "verify/forward_report.h"
#include "verify/matrix.h"
#include "verify/parallel.h"

namespace tessera {

struct Estimate {
  double value = 0, error = 0;  // a mean and its standard error; for one value the error is 0
};

// The p-quantile of sorted values, linear between neighbours, as NumPy's default.
double Quantile(std::span<const double> sorted, double p);

struct Percentile {
  std::string_view name;  // "p999"
  double p;
};
inline constexpr Percentile kPercentiles[] = {
    {"min", 0},    {"p01", 0.001},  {"p1", 0.01},  {"p5", 0.05}, {"p10", 0.1},
    {"p25", 0.25}, {"median", 0.5}, {"p75", 0.75}, {"p90", 0.9}, {"p95", 0.95},
    {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

struct Distribution {
  Estimate mean;
  std::vector<double> sorted;

  explicit Distribution(std::vector<double> values = {});
};

// Of the positions that have a next token in the text.
struct TextComparison {
  Estimate ppl_a, ppl_b;
  double correlation = 0;                // of what the two say of each token
  Estimate ln_ratio, ratio, difference;  // ppl_b over ppl_a, and less it
  Distribution delta_p;                  // how much more probable B makes the token
  Estimate rms_delta_p;
};

struct WorstToken {
  uint64_t position = 0;
  uint32_t token = 0;  // the last one that was seen
  std::optional<uint32_t> next;
  double kl = 0;
  std::optional<double> p_a, p_b;  // of `next`
  std::vector<TokenProbability> top_a, top_b;
};

struct LogitComparison {
  uint64_t positions = 0;
  bool identical = true;               // bit for bit
  std::vector<uint32_t> top_a, top_b;  // the likeliest token at each position
  Distribution kl;                     // of B from A: sum of p_a ln(p_a / p_b), in nats
  Estimate top1;  // share of positions at which both find the same token likeliest
  std::optional<TextComparison> text;
  std::vector<WorstToken> worst;  // largest divergence first
};

inline constexpr size_t kWorstTokens = 10;
inline constexpr size_t kWorstTokenTops = 5;

class LogitComparer {
 public:
  // Position i is that of text[i].
  LogitComparer(std::span<const uint32_t> text, const Threads& threads)
      : text_(text), threads_(threads) {}

  // Logits of the positions that follow, [positions, vocab] each.
  void Add(ConstMatrix a, ConstMatrix b);
  LogitComparison Finish() const;

 private:
  struct Position {
    double kl;
    uint32_t top_a, top_b;
    double ln_a, ln_b;  // ln p of the next token; 0 where there is none
  };

  Position Compare(uint64_t position, std::span<const float> a, std::span<const float> b) const;
  void KeepWorst(uint64_t first, ConstMatrix a, ConstMatrix b);
  TextComparison CompareText() const;

  std::span<const uint32_t> text_;
  const Threads& threads_;
  bool identical_ = true;
  std::vector<Position> positions_;
  std::vector<WorstToken> worst_;
};

}  // namespace tessera
