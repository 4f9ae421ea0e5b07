#include "cli/comparison_output.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

namespace tessera::cli {
namespace {

constexpr size_t kShownWorst = 5, kShownGroups = 4, kShownNames = 2;
constexpr size_t kWorstInJson = 20;  // or all that failed
constexpr uint64_t kBarWidth = 24;

std::string Number(double value, const char* format = "%.2f") {
  if (std::isinf(value)) return value < 0 ? "-inf" : "none";
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Limit(const GateResult& gate) {
  const GateInfo& info = Info(gate.gate);
  return (info.at_least ? "at least " : "at most ") + Number(gate.limit, "%g") +
         (info.unit.empty() ? "" : " " + std::string(info.unit));
}

// In eighths of a character.
std::string Bar(uint64_t part, uint64_t whole) {
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const uint64_t eighths = whole == 0 ? 0 : (part * kBarWidth * 8 + whole - 1) / whole;
  std::string bar;
  for (uint64_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

SortedJson PlaceJson(const std::optional<QualityPlace>& place) {
  if (!place) return nullptr;
  return {{"row", place->row}, {"col", place->col}, {"sqnr", place->sqnr()}};
}

SortedJson TensorJson(const TensorComparison& tensor) {
  SortedJson json = {{"tensor", tensor.name},       {"agreement", Name(tensor.agreement)},
                     {"what", tensor.rule},         {"stored_a", tensor.stored_a},
                     {"stored_b", tensor.stored_b}, {"missed", SortedJson::array()}};
  for (const GateValue& value : tensor.missed) {
    json["missed"].push_back({{"name", Name(value.gate)}, {"value", value.value}});
  }
  if (!tensor.measured) return json;
  const QualityStats& stats = tensor.stats;
  json["values"] = stats.values;
  json["differing"] = stats.differing;
  json["sqnr"] = stats.sqnr();
  json["predicted_sqnr"] = stats.predicted ? SortedJson(stats.predicted_sqnr()) : SortedJson();
  json["gain"] = stats.gain();
  json["cosine"] = stats.cosine();
  json["max_error"] = stats.max_error;
  json["mean_error"] = stats.mean_error();
  json["nan_a"] = stats.nan_want;
  json["nan_b"] = stats.nan_got;
  json["worst_row"] = PlaceJson(stats.worst_row);
  json["worst_group"] = PlaceJson(stats.worst_group);
  return json;
}

void PrintCoverage(const ComparisonReport& report, Terminal& terminal) {
  std::map<std::pair<Agreement, std::string>, uint64_t> counts;
  for (const TensorComparison& tensor : report.tensors) {
    const bool failed = tensor.agreement == Agreement::kFailed;
    ++counts[{tensor.agreement, failed ? "misses a gate" : tensor.rule}];
  }
  for (const auto& [key, count] : counts) {
    const std::string bar = Bar(count, report.tensors.size());
    const Colour colour = key.first == Agreement::kFailed ? Colour::kRed : Colour::kDim;
    char line[64];
    std::snprintf(line, sizeof line, "  %-28s %8s  ", key.second.c_str(), Grouped(count).c_str());
    terminal.Print(line + terminal.Paint(colour, bar) + "\n");
  }
}

void PrintUnmatched(const ComparisonReport& report, Terminal& terminal) {
  for (size_t i = 0; i < std::min(report.unmatched.size(), kShownGroups); ++i) {
    const UnmatchedGroup& group = report.unmatched[i];
    std::string line = group.side == Side::kA ? "  only in A: " : "  only in B: ";
    line += group.what + ", " + Plural(group.names.size(), "tensor");
    if (!group.explained) {
      for (size_t n = 0; n < std::min(group.names.size(), kShownNames); ++n) {
        line += (n == 0 ? ": " : ", ") + group.names[n];
      }
      if (group.names.size() > kShownNames) line += ", ...";
    }
    terminal.Print((group.explained ? line : terminal.Paint(Colour::kRed, line)) + "\n");
  }
  if (report.unmatched.size() > kShownGroups) {
    terminal.Print("  and " + Plural(report.unmatched.size() - kShownGroups, "more reason") +
                   " (--json lists all)\n");
  }
}

void PrintConfigFaults(const ComparisonReport& report, Terminal& terminal) {
  for (size_t i = 0; i < std::min(report.config_faults.size(), kShownNames); ++i) {
    const ConfigFault& fault = report.config_faults[i];
    const std::string side = fault.side == Side::kA ? "A" : "B";
    terminal.Print(terminal.Paint(Colour::kRed, "  config of " + side + ": " + fault.what) + "\n");
  }
}

void PrintWorst(const ComparisonReport& report, Terminal& terminal) {
  std::vector<TableRow> rows;
  for (const TensorComparison* tensor : report.Worst(kShownWorst)) {
    const QualityStats& stats = tensor->stats;
    const bool row = tensor->measured && stats.worst_row;
    rows.push_back({tensor->name, tensor->measured ? Number(stats.sqnr()) : "",
                    stats.predicted ? Number(stats.predicted_sqnr()) : "",
                    tensor->measured ? Number(stats.gain(), "%.4f") : "",
                    row ? std::to_string(stats.worst_row->row) : "",
                    tensor->agreement == Agreement::kFailed ? tensor->rule : ""});
  }
  if (rows.empty()) return;
  terminal.PrintTable(
      {"worst tensors", "dB", "expected", "gain", "worst row", ""}, rows,
      {Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kLeft});
}

}  // namespace

SortedJson ComparisonJson(const ComparisonReport& report) {
  SortedJson json = {{"verdict", report.verdict},
                     {"exact", report.exact},
                     {"within", report.within},
                     {"failed", report.failed},
                     {"unmatched_a", report.Unmatched(Side::kA)},
                     {"unmatched_b", report.Unmatched(Side::kB)},
                     {"unmatched", SortedJson::array()},
                     {"config_faults", SortedJson::array()},
                     {"gates", GatesJson(report.gates)},
                     {"worst", SortedJson::array()}};
  for (const UnmatchedGroup& group : report.unmatched) {
    json["unmatched"].push_back({{"side", group.side == Side::kA ? "a" : "b"},
                                 {"rule", group.rule},
                                 {"what", group.what},
                                 {"explained", group.explained},
                                 {"tensors", group.names}});
  }
  for (const ConfigFault& fault : report.config_faults) {
    json["config_faults"].push_back({{"side", fault.side == Side::kA ? "a" : "b"},
                                     {"rule", fault.rule},
                                     {"tensor", fault.tensor},
                                     {"what", fault.what}});
  }
  for (const TensorComparison* tensor : report.Worst(std::max(kWorstInJson, report.failed))) {
    json["worst"].push_back(TensorJson(*tensor));
  }
  return json;
}

SortedJson GatesJson(std::span<const GateResult> gates) {
  SortedJson json = SortedJson::array();
  for (const GateResult& gate : gates) {
    json.push_back({{"name", Name(gate.gate)},
                    {"value", gate.value},
                    {"limit", gate.limit},
                    {"ok", gate.ok},
                    {"tensor", gate.tensor}});
  }
  return json;
}

void PrintVerdict(const std::string& verdict, bool passes, Terminal& terminal) {
  terminal.Print((passes ? verdict : terminal.Paint(Colour::kRed, verdict)) + "\n");
}

void PrintSides(const ComparedSide& a, const ComparedSide& b, Terminal& terminal) {
  terminal.Print("A " + a.path + ": " + Plural(a.tensors, "tensor") + ", " + HumanBytes(a.bytes) +
                 "; B " + b.path + ": " + Plural(b.tensors, "tensor") + ", " + HumanBytes(b.bytes) +
                 "\n");
}

void PrintGates(std::span<const GateResult> gates, Terminal& terminal) {
  std::vector<TableRow> rows;
  for (const GateResult& gate : gates) {
    rows.push_back({std::string(Name(gate.gate)), Number(gate.value, "%.4g"), Limit(gate),
                    gate.ok ? "ok" : "missed", gate.ok ? "" : gate.tensor});
  }
  terminal.PrintTable({"gate", "value", "limit", "", ""}, rows,
                      {Align::kLeft, Align::kRight, Align::kLeft, Align::kLeft, Align::kLeft});
}

void PrintComparison(const ComparisonReport& report, Terminal& terminal) {
  PrintVerdict(report.verdict, report.passes(), terminal);
  PrintSides(report.a, report.b, terminal);
  PrintCoverage(report, terminal);
  PrintUnmatched(report, terminal);
  PrintConfigFaults(report, terminal);
  PrintGates(report.gates, terminal);
  PrintWorst(report, terminal);
}

}  // namespace tessera::cli
