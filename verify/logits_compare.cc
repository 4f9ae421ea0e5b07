#include "verify/logits_compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tessera {
namespace {

// A mean and its standard error.
Estimate MeanOf(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  if (values.empty()) return {};
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() == 1 ? 0 : std::sqrt(squares / n / (n - 1))};
}

// The covariance of the means.
double Covariance(std::span<const double> x, std::span<const double> y, double mean_x,
                  double mean_y) {
  const auto n = static_cast<double>(x.size());
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - mean_x) * (y[i] - mean_y);
  return x.size() == 1 ? 0 : sum / n / (n - 1);
}

Estimate Exponential(Estimate of) {
  const double value = std::exp(of.value);
  return {value, value * of.error};
}

double RootOfSum(double squares) { return std::sqrt(std::max(0.0, squares)); }

}  // namespace

double Quantile(std::span<const double> sorted, double p) {
  if (sorted.empty()) return 0;
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Distribution::Distribution(std::vector<double> values)
    : mean(MeanOf(values)), sorted(std::move(values)) {
  std::ranges::sort(sorted);
}

LogitComparer::Position LogitComparer::Compare(uint64_t position, std::span<const float> a,
                                               std::span<const float> b) const {
  const double total_a = LogSumExp(a), total_b = LogSumExp(b);
  double kl = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double ln_a = double{a[i]} - total_a, ln_b = double{b[i]} - total_b;
    kl += std::exp(ln_a) * (ln_a - ln_b);
  }
  // Rounding may leave a little less than nothing.
  Position result{std::max(0.0, kl), ArgMax(a), ArgMax(b), 0, 0};
  if (position + 1 < text_.size()) {
    const uint32_t next = text_[position + 1];
    result.ln_a = double{a[next]} - total_a;
    result.ln_b = double{b[next]} - total_b;
  }
  return result;
}

void LogitComparer::Add(ConstMatrix a, ConstMatrix b) {
  const uint64_t first = positions_.size();
  positions_.resize(first + a.rows);
  threads_.ForEach(
      a.rows, [&](size_t i) { positions_[first + i] = Compare(first + i, a.Row(i), b.Row(i)); });
  for (uint64_t i = 0; i < a.rows; ++i) {
    const size_t bytes = a.Row(i).size_bytes();
    identical_ = identical_ && std::memcmp(a.row(i), b.row(i), bytes) == 0;
  }
  KeepWorst(first, a, b);
}

void LogitComparer::KeepWorst(uint64_t first, ConstMatrix a, ConstMatrix b) {
  for (uint64_t i = 0; i < a.rows; ++i) {
    const Position& position = positions_[first + i];
    // Of equals the earlier one is kept.
    if (worst_.size() == kWorstTokens && worst_.back().kl >= position.kl) continue;
    WorstToken token;
    token.position = first + i;
    token.token = text_[first + i];
    token.kl = position.kl;
    token.top_a = LikeliestTokens(a.Row(i), LogSumExp(a.Row(i)), kWorstTokenTops);
    token.top_b = LikeliestTokens(b.Row(i), LogSumExp(b.Row(i)), kWorstTokenTops);
    if (first + i + 1 < text_.size()) {
      token.next = text_[first + i + 1];
      token.p_a = std::exp(position.ln_a);
      token.p_b = std::exp(position.ln_b);
    }
    const auto at = std::ranges::upper_bound(worst_, token.kl, std::greater(), &WorstToken::kl);
    worst_.insert(at, std::move(token));
    if (worst_.size() > kWorstTokens) worst_.pop_back();
  }
}

TextComparison LogitComparer::CompareText() const {
  std::vector<double> nll_a, nll_b, ratio, delta_p, squares;
  for (size_t i = 0; i + 1 < text_.size(); ++i) {
    const Position& position = positions_[i];
    nll_a.push_back(-position.ln_a);
    nll_b.push_back(-position.ln_b);
    ratio.push_back(position.ln_a - position.ln_b);
    delta_p.push_back(std::exp(position.ln_b) - std::exp(position.ln_a));
    squares.push_back(delta_p.back() * delta_p.back());
  }
  const Estimate a = MeanOf(nll_a), b = MeanOf(nll_b), mean_square = MeanOf(squares);
  const double covariance = Covariance(nll_a, nll_b, a.value, b.value);
  TextComparison text;
  text.ppl_a = Exponential(a);
  text.ppl_b = Exponential(b);
  text.correlation = covariance / (a.error * b.error);
  text.ln_ratio = MeanOf(ratio);
  text.ratio = Exponential(text.ln_ratio);
  const Estimate &ppl_a = text.ppl_a, &ppl_b = text.ppl_b;
  text.difference = {ppl_b.value - ppl_a.value,
                     RootOfSum(ppl_a.error * ppl_a.error + ppl_b.error * ppl_b.error -
                               2 * ppl_a.value * ppl_b.value * covariance)};
  text.delta_p = Distribution(std::move(delta_p));
  const double rms = std::sqrt(mean_square.value);
  text.rms_delta_p = {rms, rms == 0 ? 0 : mean_square.error / (2 * rms)};
  return text;
}

LogitComparison LogitComparer::Finish() const {
  LogitComparison result;
  result.positions = positions_.size();
  result.identical = identical_;
  std::vector<double> kl, same;
  for (const Position& position : positions_) {
    result.top_a.push_back(position.top_a);
    result.top_b.push_back(position.top_b);
    kl.push_back(position.kl);
    same.push_back(position.top_a == position.top_b ? 1 : 0);
  }
  result.kl = Distribution(std::move(kl));
  result.top1 = MeanOf(same);
  if (text_.size() > 1) result.text = CompareText();
  result.worst = worst_;
  return result;
}

}  // namespace tessera
