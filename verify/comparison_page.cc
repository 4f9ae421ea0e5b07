#include "verify/comparison_page.h"

#include <algorithm>
#include <map>

#include "verify/comparison_maps.h"
#include "verify/number_text.h"

namespace tessera {
namespace {

constexpr size_t kWorstRows = 200;

std::string Gigabytes(uint64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < std::size(units); ++unit) value /= 1000;
  return NumberText(value, unit == 0 ? "%.0f " : "%.1f ") + units[unit];
}

PageSection MapSection(std::string id, std::string title, const std::string& text,
                       const HeatMap& map) {
  return {std::move(id), std::move(title),
          "<p>" + EscapeHtml(text) + "</p>" + RenderHeatLegend(map) + RenderHeatMap(map)};
}

HtmlCell PlaceCell(const std::optional<QualityPlace>& place, bool group) {
  if (!place) return {.text = "", .number = true};
  std::string text = std::to_string(place->row);
  if (group) text += ":" + std::to_string(place->col);
  return {.text = text + " (" + NumberText(place->sqnr(), "%.1f") + " dB)",
          .sort_key = NumberText(std::max(-1e300, place->sqnr()), "%.17g"),
          .number = true};
}

PageSection WorstSection(const ComparisonReport& report) {
  PageSection section{"worst", "Worst tensors", ""};
  const std::vector<const TensorComparison*> worst = report.Worst(kWorstRows);
  if (worst.empty()) {
    section.html = "<p>No tensor lost anything beyond exact rounding: there is none to rank.</p>";
    return section;
  }
  section.html =
      "<p>Those furthest below what their scales predict come first. Gain is the least-squares "
      "factor from B to A; a row or a group with its own SQNR in brackets, groups as row:column of "
      "their 128 values.</p>";
  std::vector<std::vector<HtmlCell>> rows;
  for (const TensorComparison* tensor : worst) {
    const QualityStats& stats = tensor->stats;
    const bool bad = tensor->agreement == Agreement::kFailed;
    std::vector<HtmlCell> row = {{.text = tensor->name, .bad = bad}};
    if (tensor->measured) {
      row.push_back(NumberCell(stats.sqnr(), "%.2f"));
      row.push_back(stats.predicted ? NumberCell(stats.predicted_sqnr(), "%.2f")
                                    : HtmlCell{.text = "", .number = true});
      row.push_back(NumberCell(stats.gain(), "%.5f"));
      row.push_back(NumberCell(stats.cosine(), "%.6f"));
      row.push_back(NumberCell(stats.max_error, "%.3g"));
      row.push_back(PlaceCell(stats.worst_row, false));
      row.push_back(PlaceCell(stats.worst_group, true));
    } else {
      row.resize(row.size() + 7, {.text = "", .number = true});
    }
    row.push_back({.text = tensor->rule, .bad = bad});
    rows.push_back(std::move(row));
  }
  section.html += RenderTable({"Tensor", "SQNR dB", "Expected", "Gain", "Cosine", "Max error",
                               "Worst row", "Worst group", "Judgement"},
                              rows);
  return section;
}

std::string Names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 500;
  std::string html = "<details><summary>names</summary><pre>";
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) html += EscapeHtml(names[i]) + "\n";
  if (names.size() > kShown) {
    html += "and " + std::to_string(names.size() - kShown) + " more: --json lists all\n";
  }
  return html + "</pre></details>";
}

PageSection CoverageSection(const ComparisonReport& report) {
  std::map<std::pair<Agreement, std::string>, uint64_t> counts;
  for (const TensorComparison& tensor : report.tensors) {
    ++counts[{tensor.agreement, tensor.rule}];
  }
  std::vector<std::vector<HtmlCell>> rows;
  for (const auto& [key, count] : counts) {
    rows.push_back({{.text = key.second, .bad = key.first == Agreement::kFailed},
                    {.text = std::string(Name(key.first))},
                    CountCell(count),
                    CountCell(count)});
  }
  std::string lists;
  for (const UnmatchedGroup& group : report.unmatched) {
    const bool in_a = group.side == Side::kA;
    rows.push_back(
        {{.text = group.what + ", only in " + (in_a ? "A" : "B"), .bad = !group.explained},
         {.text = group.explained ? "explained" : "unexplained"},
         CountCell(in_a ? group.names.size() : 0),
         CountCell(in_a ? 0 : group.names.size())});
    lists += "<p>" + EscapeHtml(group.what) + ", only in " + (in_a ? "A" : "B") + ":</p>" +
             Names(group.names);
  }
  rows.push_back(
      {{.text = "all"}, {.text = ""}, CountCell(report.a.tensors), CountCell(report.b.tensors)});
  return {"coverage", "Coverage",
          "<p>Every tensor of both sides, once; a weight with its scales is one.</p>" +
              RenderTable({"What became of it", "", "Tensors of A", "Tensors of B"}, rows) + lists};
}

PageNumber LowestSqnr(const ComparisonReport& report) {
  const TensorComparison* lowest = nullptr;
  for (const TensorComparison& tensor : report.tensors) {
    const bool lossy = tensor.measured && tensor.stats.noise > 0;
    if (lossy && (lowest == nullptr || tensor.stats.sqnr() < lowest->stats.sqnr())) {
      lowest = &tensor;
    }
  }
  if (lowest == nullptr) return {"none", "lossy tensors: every value is A's, or A's rounded"};
  std::string label = "lowest SQNR";
  if (lowest->stats.predicted) {
    label += ", where " + NumberText(lowest->stats.predicted_sqnr(), "%.1f") + " dB are expected";
  }
  return {NumberText(lowest->stats.sqnr(), "%.1f") + " dB", std::move(label)};
}

}  // namespace

PageSection GateSection(std::string id, std::string title, const std::string& text,
                        std::span<const GateResult> gates) {
  std::vector<std::vector<HtmlCell>> rows;
  for (const GateResult& result : gates) {
    const GateInfo& info = Info(result.gate);
    const std::string unit = info.unit.empty() ? "" : " " + std::string(info.unit);
    const std::string bound = info.at_least ? "at least " : "at most ";
    rows.push_back({{.text = std::string(info.name)},
                    NumberCell(result.value, "%.4g"),
                    {.text = bound + NumberText(result.limit, "%g") + unit},
                    {.text = result.ok ? "kept" : "missed", .bad = !result.ok},
                    {.text = std::string(info.what)},
                    {.text = result.tensor}});
  }
  return {std::move(id), std::move(title),
          "<p>" + EscapeHtml(text) + "</p>" +
              RenderTable({"Gate", "Value", "Limit", "", "Measures", "Tightest tensor"}, rows)};
}

PageSection SizeSection(const ComparedSide& a, const ComparedSide& b) {
  const uint64_t largest = std::max({uint64_t{1}, a.bytes, b.bytes});
  std::string html;
  for (const ComparedSide* side : {&a, &b}) {
    const double share = 100 * static_cast<double>(side->bytes) / static_cast<double>(largest);
    html += "<p>" + std::string(side == &a ? "A " : "B ") + EscapeHtml(side->path) + ": " +
            Gigabytes(side->bytes) +
            "<br><span class=\"bar\" style=\"width:" + NumberText(share, "%.1f") +
            "%\"></span></p>";
  }
  return {"sizes", "Sizes", html};
}

std::vector<PageSection> ComparisonSections(const ComparisonReport& report) {
  std::vector<PageSection> sections = {
      MapSection("layers", "Layers and classes",
                 "Each cell is the worst tensor of its class in its layer. Colours of lossy "
                 "tensors tell the distance from the median of their class.",
                 ClassMap(report))};
  if (HeatMap experts = ExpertMap(report); !experts.rows.empty()) {
    sections.push_back(
        MapSection("experts", "Experts", "down_proj of every routed expert.", experts));
  }
  sections.push_back(WorstSection(report));
  sections.push_back(GateSection("gates", "Gates",
                                 "What B must keep to. Each value is the tightest of all tensors.",
                                 report.gates));
  sections.push_back(CoverageSection(report));
  return sections;
}

std::vector<PageNumber> ComparisonNumbers(const ComparisonReport& report) {
  const uint64_t shared = report.tensors.size();
  uint64_t unexplained = 0, all = shared;
  for (const UnmatchedGroup& group : report.unmatched) {
    all += group.names.size();
    if (!group.explained) unexplained += group.names.size();
  }
  return {
      {std::to_string(all - unexplained) + " / " + std::to_string(all), "tensors accounted for"},
      {std::to_string(report.exact + report.within) + " / " + std::to_string(shared),
       std::to_string(report.exact) + " equal, " + std::to_string(report.within) +
           " as they should be, " + std::to_string(report.failed) + " not"},
      LowestSqnr(report)};
}

}  // namespace tessera
