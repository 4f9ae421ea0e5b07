#include "cli/forward_output.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "cli/comparison_output.h"
#include "verify/number_text.h"

namespace tessera::cli {
namespace {

constexpr size_t kShownTokens = 4;

std::string Percent(double share, const char* format = "%.2f %%") {
  return NumberText(100 * share, format);
}

std::string WithError(const Estimate& estimate, const char* format, double unit = 1) {
  return NumberText(unit * estimate.value, format) + " ± " +
         NumberText(unit * estimate.error, format);
}

SortedJson DistributionJson(const Distribution& distribution) {
  SortedJson json = {{"mean", distribution.mean.value}, {"mean_error", distribution.mean.error}};
  for (const auto& [name, p] : kPercentiles) json[name] = Quantile(distribution.sorted, p);
  return json;
}

SortedJson TopJson(const std::vector<TokenProbability>& top) {
  SortedJson json = SortedJson::array();
  for (const TokenProbability& entry : top) {
    json.push_back({{"token", entry.token}, {"probability", entry.probability}});
  }
  return json;
}

SortedJson TextsJson(const TokenTexts& texts) {
  SortedJson json = SortedJson::object();
  for (const auto& [id, text] : texts) json[std::to_string(id)] = text;
  return json;
}

SortedJson WorstJson(const std::vector<WorstToken>& worst) {
  SortedJson json = SortedJson::array();
  for (const WorstToken& token : worst) {
    json.push_back({{"position", token.position},
                    {"token", token.token},
                    {"next", token.next ? SortedJson(*token.next) : SortedJson()},
                    {"kl", token.kl},
                    {"p_a", token.p_a ? SortedJson(*token.p_a) : SortedJson()},
                    {"p_b", token.p_b ? SortedJson(*token.p_b) : SortedJson()},
                    {"top_a", TopJson(token.top_a)},
                    {"top_b", TopJson(token.top_b)}});
  }
  return json;
}

SortedJson RoutingJson(const RoutingComparison& routing) {
  return {{"overlap", routing.overlap()},
          {"same_sets", routing.same_sets()},
          {"flips", routing.flips},
          {"explained", routing.explained},
          {"flip_margin", routing.flip_margin}};
}

SortedJson LayersJson(const std::vector<LayerComparison>& layers) {
  SortedJson json = SortedJson::array();
  for (const LayerComparison& layer : layers) {
    SortedJson entry = {{"layer", layer.layer},
                        {"error", layer.error},
                        {"cosine", layer.cosine},
                        {"noise_floor", layer.noise_floor},
                        {"worst_error", layer.worst_error},
                        {"worst_position", layer.worst_position},
                        {"routing", nullptr}};
    if (layer.routing) {
      entry["routing"] = RoutingJson(*layer.routing);
      entry["routing"]["margin"] = layer.routing->margin;
      entry["routing"]["score_change"] = layer.routing->score_change;
      entry["routing"]["loads_a"] = layer.routing->load_a;
      entry["routing"]["loads_b"] = layer.routing->load_b;
      entry["routing"]["shared"] = layer.routing->shared;
    }
    json.push_back(std::move(entry));
  }
  return json;
}

SortedJson PerplexityJson(const std::optional<TextComparison>& text) {
  if (!text) return {{"a", nullptr}, {"b", nullptr}};
  return {{"a", text->ppl_a.value},
          {"a_error", text->ppl_a.error},
          {"b", text->ppl_b.value},
          {"b_error", text->ppl_b.error},
          {"correlation", text->correlation},
          {"ln_ratio", text->ln_ratio.value},
          {"ln_ratio_error", text->ln_ratio.error},
          {"ratio", text->ratio.value},
          {"ratio_error", text->ratio.error},
          {"difference", text->difference.value},
          {"difference_error", text->difference.error}};
}

SortedJson DeltaJson(const std::optional<TextComparison>& text) {
  if (!text) return nullptr;
  SortedJson json = DistributionJson(text->delta_p);
  json["rms"] = text->rms_delta_p.value;
  json["rms_error"] = text->rms_delta_p.error;
  return json;
}

SortedJson DraftsJson(const std::optional<DraftComparison>& drafts) {
  if (!drafts) return nullptr;
  return {{"acceptance_a", drafts->acceptance_a},
          {"acceptance_b", drafts->acceptance_b},
          {"kl", DistributionJson(drafts->logits.kl)},
          {"top1", drafts->logits.top1.value},
          {"ppl", PerplexityJson(drafts->logits.text)}};
}

// The error of each layer in eight steps, by its logarithm.
std::string Sparkline(const std::vector<LayerComparison>& layers) {
  constexpr const char* kSteps[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  double least = INFINITY, most = 0;
  for (const LayerComparison& layer : layers) {
    if (layer.error > 0) least = std::min(least, layer.error);
    most = std::max(most, layer.error);
  }
  std::string line;
  for (const LayerComparison& layer : layers) {
    const bool flat = layer.error == 0 || least == most;
    const double height = flat ? 0 : std::log(layer.error / least) / std::log(most / least);
    line += kSteps[static_cast<size_t>(std::lround(7 * height))];
  }
  return line;
}

void PrintLine(const std::string& name, const std::string& text, Terminal& terminal) {
  terminal.Print(name + std::string(12 - name.size(), ' ') + text + "\n");
}

void PrintLogits(const ForwardComparison& comparison, Terminal& terminal) {
  const LogitComparison& logits = comparison.logits;
  const auto kl = [&](double p) { return NumberText(Quantile(logits.kl.sorted, p), "%.4g"); };
  PrintLine("KL",
            "mean " + WithError(logits.kl.mean, "%.4g") + ", median " + kl(0.5) + ", 90 % " +
                kl(0.9) + ", 95 % " + kl(0.95) + ", 99 % " + kl(0.99) + ", 99.9 % " + kl(0.999) +
                ", max " + kl(1),
            terminal);
  PrintLine("top token",
            "the same at " + WithError(logits.top1, "%.2f", 100) + " % of " +
                Plural(logits.positions, "position"),
            terminal);
  if (!logits.text) return;
  const TextComparison& text = *logits.text;
  PrintLine("perplexity",
            "A " + WithError(text.ppl_a, "%.4f") + ", B " + WithError(text.ppl_b, "%.4f") +
                "; ln B/A " + WithError(text.ln_ratio, "%.5f") + ", correlation " +
                Percent(text.correlation),
            terminal);
  const auto delta = [&](double p) { return Percent(Quantile(text.delta_p.sorted, p)); };
  PrintLine("delta p",
            "mean " + WithError(text.delta_p.mean, "%.3f", 100) + " %, RMS " +
                WithError(text.rms_delta_p, "%.3f", 100) + " %; 1 % " + delta(0.01) + ", 99 % " +
                delta(0.99),
            terminal);
}

void PrintLayers(const ForwardComparison& comparison, Terminal& terminal) {
  const LayerComparison& worst = comparison.FurthestLayer();
  PrintLine("layers",
            Sparkline(comparison.layers) + "  error of the residual stream, largest " +
                NumberText(worst.error, "%.3g") + " after layer " + std::to_string(worst.layer) +
                " (BF16 alone: " + NumberText(worst.noise_floor, "%.2g") + ")",
            terminal);
  const RoutingComparison& routing = comparison.routing;
  if (routing.tokens == 0) return;
  PrintLine("routing",
            Percent(routing.overlap()) + " of the experts the same; " +
                Plural(routing.flips, "choice") + " of " + Grouped(routing.tokens) + " differ, " +
                Grouped(routing.explained) + " by small margins",
            terminal);
}

std::string TopText(const std::vector<TokenProbability>& top, const TokenTexts& texts) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(2, top.size()); ++i) {
    text += (i == 0 ? "" : ", ") + TokenLabel(texts, top[i].token) + " (" +
            Percent(top[i].probability, "%.1f %%") + ")";
  }
  return text;
}

void PrintWorstTokens(const ForwardComparison& comparison, Terminal& terminal) {
  const LogitComparison& logits = comparison.logits;
  if (logits.identical) return;
  std::vector<TableRow> rows;
  for (size_t i = 0; i < std::min(kShownTokens, logits.worst.size()); ++i) {
    const WorstToken& token = logits.worst[i];
    rows.push_back({std::to_string(token.position), TokenLabel(comparison.texts, token.token),
                    NumberText(token.kl, "%.4g"), TopText(token.top_a, comparison.texts),
                    TopText(token.top_b, comparison.texts)});
  }
  terminal.PrintTable({"worst at", "token", "KL", "A expects", "B expects"}, rows,
                      {Align::kRight, Align::kLeft, Align::kRight, Align::kLeft, Align::kLeft});
}

}  // namespace

SortedJson ForwardJson(const ForwardComparison& comparison) {
  const LogitComparison& logits = comparison.logits;
  return {{"verdict", comparison.verdict},
          {"tokens", comparison.tokens},
          {"kind", Name(comparison.kind)},
          {"weights", comparison.weights == WeightValues::kBf16 ? "bf16" : "stored"},
          {"identical", logits.identical},
          {"layers", LayersJson(comparison.layers)},
          {"routing", RoutingJson(comparison.routing)},
          {"kl", DistributionJson(logits.kl)},
          {"top1", logits.top1.value},
          {"top1_error", logits.top1.error},
          {"ppl", PerplexityJson(logits.text)},
          {"delta_p", DeltaJson(logits.text)},
          {"mtp", DraftsJson(comparison.drafts)},
          {"worst_tokens", WorstJson(logits.worst)},
          {"texts", TextsJson(comparison.texts)},
          {"gates", GatesJson(comparison.gates)}};
}

void PrintForward(const ForwardComparison& comparison, Terminal& terminal) {
  PrintVerdict(comparison.verdict, comparison.passes(), terminal);
  PrintSides(comparison.a, comparison.b, terminal);
  PrintLogits(comparison, terminal);
  PrintLayers(comparison, terminal);
  if (const auto& drafts = comparison.drafts) {
    PrintLine("MTP drafts",
              "accepted by A " + Percent(drafts->acceptance_a) + ", by B " +
                  Percent(drafts->acceptance_b) + "; KL " +
                  WithError(drafts->logits.kl.mean, "%.4g"),
              terminal);
  }
  PrintGates(comparison.gates, terminal);
  PrintWorstTokens(comparison, terminal);
}

}  // namespace tessera::cli
