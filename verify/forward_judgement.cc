#include "verify/forward_judgement.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "verify/number_text.h"

namespace tessera {
namespace {

// What chance explains is left out of a count. Not out of the mean divergence: nothing about it is
// chance, both models said it of these tokens, and its error is largest where few tokens carry it.
// One token of n, however wrong, makes a mean and an error of x / n each.
constexpr double kStandardErrors = 2;

double LeastOverlap(const ForwardComparison& comparison) {
  double least = 1;
  for (const LayerComparison& layer : comparison.layers) {
    if (layer.routing) least = std::min(least, layer.routing->overlap());
  }
  return least;
}

void AddGates(const QualityGates& gates, ForwardComparison& comparison) {
  const double kl = comparison.logits.kl.mean.value;
  const Estimate& top1 = comparison.logits.top1;
  const GateValue values[] = {
      {Gate::kKl, kl},
      {Gate::kTop1, std::min(1.0, top1.value + kStandardErrors * top1.error)},
      {Gate::kResidualError, comparison.FurthestLayer().error},
      {Gate::kRoutingOverlap, LeastOverlap(comparison)}};
  for (const GateValue& value : values) {
    const double limit = gates.limit(value.gate, comparison.kind);
    if (std::isinf(limit)) continue;
    comparison.gates.push_back({.gate = value.gate,
                                .value = value.value,
                                .limit = limit,
                                .ok = gates.Passes(value, comparison.kind),
                                .tensor = ""});
  }
}

std::string Percent(double share) { return NumberText(100 * share, "%.2f") + " %"; }

std::string Positions(const ForwardComparison& comparison) {
  return std::to_string(comparison.tokens) + (comparison.tokens == 1 ? " position" : " positions");
}

std::string Figures(const ForwardComparison& comparison) {
  const LogitComparison& logits = comparison.logits;
  return "KL " + NumberText(logits.kl.mean.value, "%.3g") + " ± " +
         NumberText(logits.kl.mean.error, "%.1g") + " nats, the same likeliest token at " +
         Percent(logits.top1.value) + " of " + Positions(comparison);
}

std::string Agrees(const ForwardComparison& comparison) {
  const std::string rounded =
      comparison.weights == WeightValues::kBf16 ? " A's weights rounded to BF16" : "";
  if (comparison.logits.identical) {
    return "B predicts exactly what A does" + (rounded.empty() ? "" : " with" + rounded) +
           ": every logit of " + Positions(comparison) + " is the same, bit for bit";
  }
  return "B predicts what A does, as closely as its gates ask: " + Figures(comparison);
}

std::string Missed(const ForwardComparison& comparison) {
  std::string missed;
  for (const GateResult& gate : comparison.gates) {
    if (gate.ok) continue;
    missed += (missed.empty() ? "" : ", ") + std::string(Name(gate.gate)) + " " +
              NumberText(gate.value, "%.3g") +
              (Info(gate.gate).at_least ? " is below " : " is above ") +
              NumberText(gate.limit, "%g");
  }
  return missed;
}

}  // namespace

void JudgeForward(const QualityGates& gates, ForwardComparison& comparison) {
  AddGates(gates, comparison);
  comparison.verdict =
      comparison.passes()
          ? Agrees(comparison)
          : "B does not predict what A does: " + Figures(comparison) + "; " + Missed(comparison);
}

}  // namespace tessera
