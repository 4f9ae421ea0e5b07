#include "verify/layer_compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace tessera {
namespace {

double Median(std::vector<float>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return double{*middle};
}

// What one expert's score moved by. The median, as a fault that concerns few experts must not pass
// for noise that concerns them all.
double ScoreChange(std::span<const float> a, std::span<const float> b, std::vector<float>& room) {
  room.resize(a.size());
  std::ranges::transform(a, b, room.begin(), [](float x, float y) { return std::abs(x - y); });
  return Median(room);
}

// Four standard deviations of the difference of two scores that each move by `change` in the
// median, as normally distributed ones would.
double ExplainedMargin(double change) { return 4 * std::numbers::sqrt2 * 1.4826 * change; }

struct RowSums {
  double a = 0, b = 0, dot = 0, difference = 0, rounding = 0;
};

// The distance between BF16 numbers around x, squared; their rounding error is a twelfth of it.
double SquaredBf16Step(float x) {
  const float power = std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7F800000u);
  return double{power} * double{power} * 0x1p-14;
}

RowSums SumRow(std::span<const float> a, std::span<const float> b) {
  RowSums sums;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = double{a[i]}, y = double{b[i]};
    sums.a += x * x;
    sums.b += y * y;
    sums.dot += x * y;
    sums.difference += (y - x) * (y - x);
    sums.rounding += SquaredBf16Step(a[i]) / 12;
  }
  return sums;
}

double Ratio(double part, double whole) { return part == 0 ? 0 : std::sqrt(part / whole); }

}  // namespace

double RoutingComparison::overlap() const {
  return chosen == 0 ? 1 : static_cast<double>(common) / static_cast<double>(chosen);
}

double RoutingComparison::same_sets() const {
  return tokens == 0 ? 1 : 1 - static_cast<double>(flips) / static_cast<double>(tokens);
}

void RoutingComparison::Add(const RoutingComparison& other) {
  tokens += other.tokens;
  common += other.common;
  chosen += other.chosen;
  flips += other.flips;
  explained += other.explained;
  flip_margin = std::max(flip_margin, other.flip_margin);
}

RoutingComparison CompareRouting(const Routing& a, const Routing& b) {
  const uint64_t experts = a.scores.cols(), top_k = a.top_k;
  RoutingComparison result;
  result.tokens = a.margins.size();
  result.chosen = a.experts.size();
  result.load_a.resize(experts);
  result.load_b.resize(experts);
  result.shared.resize(experts);
  std::vector<float> room, margins, changes;
  for (uint64_t token = 0; token < result.tokens; ++token) {
    const auto of_a = std::span(a.experts).subspan(token * top_k, top_k);
    const auto of_b = std::span(b.experts).subspan(token * top_k, top_k);
    uint64_t common = 0;
    for (const uint32_t expert : of_b) ++result.load_b[expert];
    for (const uint32_t expert : of_a) {
      ++result.load_a[expert];
      if (std::ranges::find(of_b, expert) == of_b.end()) continue;
      ++result.shared[expert];
      ++common;
    }
    const double change = ScoreChange(a.scores.view().Row(token), b.scores.view().Row(token), room);
    const float margin = std::min(a.margins[token], a.group_margins[token]);
    margins.push_back(margin);
    changes.push_back(static_cast<float>(change));
    result.common += common;
    if (common == top_k) continue;
    ++result.flips;
    if (double{margin} <= ExplainedMargin(change)) ++result.explained;
    result.flip_margin = std::max(result.flip_margin, double{margin});
  }
  result.margin = Median(margins);
  result.score_change = Median(changes);
  return result;
}

LayerComparison LayerComparer::Compare(uint32_t layer, ConstMatrix a, ConstMatrix b) {
  std::vector<RowSums> rows(a.rows);
  threads_.ForEach(a.rows, [&](size_t i) { rows[i] = SumRow(a.Row(i), b.Row(i)); });
  LayerComparison result;
  result.layer = layer;
  RowSums all;
  for (size_t i = 0; i < rows.size(); ++i) {
    all.a += rows[i].a;
    all.b += rows[i].b;
    all.dot += rows[i].dot;
    all.difference += rows[i].difference;
    all.rounding += rows[i].rounding;
    const double error = Ratio(rows[i].difference, rows[i].a);
    if (error <= result.worst_error) continue;
    result.worst_error = error;
    result.worst_position = i;
  }
  rounding_ += 2 * all.rounding;
  result.error = Ratio(all.difference, all.a);
  // Rounding of the sums must not make equal streams unequal.
  if (all.difference != 0) result.cosine = all.dot / std::sqrt(all.a * all.b);
  result.noise_floor = Ratio(rounding_, all.a);
  return result;
}

}  // namespace tessera
