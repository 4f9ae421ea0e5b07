#include "verify/forward_page.h"

#include <algorithm>
#include <string>

#include "verify/comparison_page.h"
#include "verify/heat_map.h"
#include "verify/line_chart.h"
#include "verify/number_text.h"

namespace tessera {
namespace {

std::string Percent(double share) { return NumberText(100 * share, "%.2f") + " %"; }

std::string Paragraph(const std::string& text) { return "<p>" + EscapeHtml(text) + "</p>"; }

PageSection DepthSection(const ForwardComparison& comparison) {
  LineChart chart{.label = "Error of the residual stream by layer",
                  .x_name = "layer",
                  .y_name = "relative error",
                  .x = {},
                  .texts = {},
                  .names = {},
                  .series = {{ChartMark::kBand, "below what BF16 alone costs", {}},
                             {ChartMark::kSecondLine, "the worst token", {}},
                             {ChartMark::kLine, "all tokens", {}}},
                  .whole_x = true,
                  .log_y = true};
  for (const LayerComparison& layer : comparison.layers) {
    chart.x.push_back(layer.layer);
    chart.names.push_back("layer " + std::to_string(layer.layer));
    chart.texts.push_back("error " + NumberText(layer.error, "%.3g") + ", cosine " +
                          NumberText(layer.cosine, "%.8f") + ", worst " +
                          NumberText(layer.worst_error, "%.3g") + " at position " +
                          std::to_string(layer.worst_position) + ", BF16 alone " +
                          NumberText(layer.noise_floor, "%.2g"));
    chart.series[0].values.push_back(layer.noise_floor);
    chart.series[1].values.push_back(layer.worst_error);
    chart.series[2].values.push_back(layer.error);
  }
  return {"depth", "Error by depth",
          Paragraph("How far B's residual stream is from A's after each layer, beside its length. "
                    "The grey band ends where holding A's own stream in BF16 would put it, at "
                    "two roundings a layer.") +
              RenderLineChart(chart)};
}

std::vector<HtmlCell> RoutingRow(const LayerComparison& layer) {
  const RoutingComparison& routing = *layer.routing;
  const uint64_t unexplained = routing.flips - routing.explained;
  return {CountCell(layer.layer),
          NumberCell(100 * routing.overlap(), "%.2f"),
          NumberCell(100 * routing.same_sets(), "%.2f"),
          CountCell(routing.flips),
          {.text = std::to_string(unexplained), .number = true, .bad = unexplained != 0},
          NumberCell(routing.margin, "%.3g"),
          NumberCell(routing.flip_margin, "%.3g"),
          NumberCell(routing.score_change, "%.2g")};
}

PageSection RoutingSection(const ForwardComparison& comparison) {
  LineChart chart{.label = "Routing agreement by layer",
                  .x_name = "layer",
                  .y_name = "percent",
                  .x = {},
                  .texts = {},
                  .names = {},
                  .series = {{ChartMark::kLine, "experts that both choose", {}},
                             {ChartMark::kSecondLine, "tokens with the same set", {}}},
                  .whole_x = true,
                  .y_max = 100};
  std::vector<std::vector<HtmlCell>> rows;
  double least = 100;
  for (const LayerComparison& layer : comparison.layers) {
    if (!layer.routing) continue;
    const RoutingComparison& routing = *layer.routing;
    chart.x.push_back(layer.layer);
    chart.names.push_back("layer " + std::to_string(layer.layer));
    chart.texts.push_back(Percent(routing.overlap()) + " of the experts, " +
                          Percent(routing.same_sets()) + " of the sets the same; " +
                          std::to_string(routing.explained) + " of " +
                          std::to_string(routing.flips) + " flips by small margins");
    chart.series[0].values.push_back(100 * routing.overlap());
    chart.series[1].values.push_back(100 * routing.same_sets());
    least = std::min(least, 100 * routing.same_sets());
    rows.push_back(RoutingRow(layer));
  }
  chart.y_min = std::floor(std::min(least, 99.0));
  return {"routing", "Routing",
          Paragraph("Where a token's experts differ, A's margin between the last one chosen and "
                    "the best one left out tells why: a margin within four standard deviations "
                    "of how much that token's scores moved explains it.") +
              RenderLineChart(chart) +
              RenderTable({"Layer", "Experts %", "Sets %", "Flips", "Unexplained", "Median margin",
                           "Largest flipped", "Scores moved"},
                          rows)};
}

CellTone ToneOf(uint64_t shared, uint64_t either) {
  if (either == 0) return CellTone::kUnused;
  if (shared == either) return CellTone::kAllAgree;
  const double share = static_cast<double>(shared) / static_cast<double>(either);
  if (share >= 0.95) return CellTone::kMostAgree;
  return share >= 0.75 ? CellTone::kSomeAgree : CellTone::kFewAgree;
}

PageSection LoadSection(const ForwardComparison& comparison) {
  HeatMap map{.label = "Layers by expert, tokens routed there",
              .rows = {},
              .columns = {},
              .column_names = false,
              .cells = {}};
  for (const LayerComparison& layer : comparison.layers) {
    if (!layer.routing) continue;
    const RoutingComparison& routing = *layer.routing;
    map.rows.push_back(std::to_string(layer.layer));
    for (size_t i = map.columns.size(); i < routing.shared.size(); ++i) {
      map.columns.push_back(std::to_string(i));
    }
    for (size_t i = 0; i < routing.shared.size(); ++i) {
      const uint64_t a = routing.load_a[i], b = routing.load_b[i], shared = routing.shared[i];
      map.cells.push_back({ToneOf(shared, a + b - shared),
                           "A sends " + std::to_string(a) + ", B " + std::to_string(b) + ", " +
                               std::to_string(shared) + " of them the same"});
    }
  }
  return {"loads", "Expert loads",
          Paragraph("The tokens that each routed expert got: how many of those that either side "
                    "sent there both did.") +
              RenderHeatLegend(map) + RenderHeatMap(map)};
}

// Published for Llama-3-8B under llama-perplexity: what these figures mean to people.
constexpr struct {
  double kl;
  const char* name;
} kAnchors[] = {{0.0014, "Q8_0"}, {0.0055, "Q6_K"}, {0.031, "Q4_K_M"}, {0.445, "Q2_K"}};

PageSection DivergenceSection(const ForwardComparison& comparison) {
  constexpr size_t kPlaces = 200;
  const std::vector<double>& sorted = comparison.logits.kl.sorted;
  LineChart chart{.label = "Distribution of the divergence over positions",
                  .x_name = "KL of one position, nats",
                  .y_name = "percent of the positions below",
                  .x = {},
                  .texts = {},
                  .names = {},
                  .series = {{ChartMark::kLine, "positions", {}}},
                  .log_x = true,
                  .y_max = 100};
  const size_t places = std::min(kPlaces, sorted.size());
  for (size_t i = 0; i < places; ++i) {
    const double share = static_cast<double>(i + 1) / static_cast<double>(places);
    const double kl = Quantile(sorted, share);
    chart.x.push_back(kl);
    chart.names.push_back(NumberText(100 * share, "%.1f %%"));
    chart.texts.push_back("at most " + NumberText(kl, "%.3g") + " nats");
    chart.series[0].values.push_back(100 * share);
  }
  for (const auto& [kl, name] : kAnchors) chart.anchors.push_back({kl, name});
  return {"divergence", "Divergence",
          Paragraph("How far B's prediction is from A's, position by position. The dotted lines "
                    "are means that are known of Llama-3-8B's GGUF types: what the figure means "
                    "to people, not a limit.") +
              RenderLineChart(chart)};
}

using Rows = std::vector<std::vector<HtmlCell>>;

void AddEstimate(const std::string& name, const Estimate& estimate, const char* format, double unit,
                 Rows& rows) {
  rows.push_back({{.text = name},
                  NumberCell(unit * estimate.value, format),
                  NumberCell(unit * estimate.error, format)});
}

void AddNumber(const std::string& name, double value, const char* format, Rows& rows) {
  rows.push_back({{.text = name}, NumberCell(value, format), {.text = "", .number = true}});
}

void AddPercentiles(const std::string& name, const Distribution& distribution, const char* format,
                    double unit, Rows& rows) {
  for (const auto& [label, p] : kPercentiles) {
    AddNumber(name + ", " + std::string(label), unit * Quantile(distribution.sorted, p), format,
              rows);
  }
}

PageSection StatisticsSection(const ForwardComparison& comparison) {
  const LogitComparison& logits = comparison.logits;
  Rows rows;
  AddEstimate("same likeliest token, %", logits.top1, "%.3f", 100, rows);
  AddEstimate("KL in nats, mean", logits.kl.mean, "%.6g", 1, rows);
  if (const auto& text = logits.text) {
    AddEstimate("perplexity of A", text->ppl_a, "%.5f", 1, rows);
    AddEstimate("perplexity of B", text->ppl_b, "%.5f", 1, rows);
    AddEstimate("ln(B / A)", text->ln_ratio, "%.6f", 1, rows);
    AddEstimate("B / A", text->ratio, "%.6f", 1, rows);
    AddEstimate("B - A", text->difference, "%.5f", 1, rows);
    AddNumber("correlation of ln A and ln B, %", 100 * text->correlation, "%.3f", rows);
    AddEstimate("delta p in %, mean", text->delta_p.mean, "%.4f", 100, rows);
    AddEstimate("delta p in %, RMS", text->rms_delta_p, "%.4f", 100, rows);
  }
  if (const auto& drafts = comparison.drafts) {
    AddNumber("MTP drafts that A accepts, %", 100 * drafts->acceptance_a, "%.2f", rows);
    AddNumber("MTP drafts that B accepts, %", 100 * drafts->acceptance_b, "%.2f", rows);
    AddEstimate("KL of the drafts in nats, mean", drafts->logits.kl.mean, "%.6g", 1, rows);
  }
  AddPercentiles("KL in nats", logits.kl, "%.4g", 1, rows);
  if (logits.text) AddPercentiles("delta p in %", logits.text->delta_p, "%.4f", 100, rows);
  return {"statistics", "Statistics",
          Paragraph("The list of llama-perplexity, over " + std::to_string(logits.positions) +
                    " positions. Delta p is how much more probable B finds the text's next "
                    "token; p99 is the value below which 99 % lie.") +
              RenderTable({"Figure", "Value", "± standard error"}, rows)};
}

std::string TopText(const std::vector<TokenProbability>& top, const TokenTexts& texts) {
  constexpr size_t kShown = 3;
  std::string text;
  for (const TokenProbability& entry : std::span(top).first(std::min(kShown, top.size()))) {
    text += (text.empty() ? "" : ", ") + TokenLabel(texts, entry.token) + " (" +
            NumberText(100 * entry.probability, "%.1f") + " %)";
  }
  return text;
}

HtmlCell ProbabilityCell(const std::optional<double>& p) {
  return p ? NumberCell(100 * *p, "%.3f") : HtmlCell{.text = "", .number = true};
}

PageSection TokenSection(const ForwardComparison& comparison) {
  const TokenTexts& texts = comparison.texts;
  std::vector<std::vector<HtmlCell>> rows;
  for (const WorstToken& token : comparison.logits.worst) {
    rows.push_back({CountCell(token.position),
                    {.text = TokenLabel(texts, token.token)},
                    NumberCell(token.kl, "%.4g"),
                    {.text = token.next ? TokenLabel(texts, *token.next) : ""},
                    ProbabilityCell(token.p_a),
                    ProbabilityCell(token.p_b),
                    {.text = TopText(token.top_a, texts)},
                    {.text = TopText(token.top_b, texts)}});
  }
  return {"tokens", "Worst tokens",
          Paragraph("Where the two predict least alike: the position and its token, the text's "
                    "next token and what each side gives it, and what each expects instead.") +
              RenderTable({"Position", "Token", "KL", "Next", "A gives %", "B gives %", "A expects",
                           "B expects"},
                          rows)};
}

}  // namespace

std::vector<PageNumber> ForwardNumbers(const ForwardComparison& comparison) {
  const LogitComparison& logits = comparison.logits;
  std::vector<PageNumber> numbers = {
      {NumberText(logits.kl.mean.value, "%.3g"),
       "nats, mean KL over " + std::to_string(logits.positions) + " positions (± " +
           NumberText(logits.kl.mean.error, "%.1g") + ")"},
      {Percent(logits.top1.value), "of the likeliest tokens the same"}};
  if (const auto& text = logits.text) {
    numbers.push_back({NumberText(text->ratio.value, "%.4f"),
                       "times A's perplexity: " + NumberText(text->ppl_a.value, "%.3f") + ", B " +
                           NumberText(text->ppl_b.value, "%.3f")});
  }
  return numbers;
}

std::vector<PageSection> ForwardSections(const ForwardComparison& comparison) {
  std::vector<PageSection> sections = {DivergenceSection(comparison), TokenSection(comparison),
                                       DepthSection(comparison)};
  if (comparison.routing.tokens != 0) {
    sections.push_back(RoutingSection(comparison));
    sections.push_back(LoadSection(comparison));
  }
  sections.push_back(GateSection("forward-gates", "Prediction gates",
                                 "What B's predictions must keep to. The limits are those of " +
                                     std::string(Name(comparison.kind)) + " weights.",
                                 comparison.gates));
  sections.push_back(StatisticsSection(comparison));
  return sections;
}

}  // namespace tessera
