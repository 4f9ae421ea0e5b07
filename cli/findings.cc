#include "cli/findings.h"

#include <string>
#include <string_view>

namespace tessera::cli {

Finding AsFinding(const Error& error) {
  std::string what = error.what();
  for (const auto& [label, text] : error.facts()) what += "; " + label + ": " + text;
  return {.rule = std::string(Name(error.code())),
          .severity = Severity::kError,
          .tensor = error.tensor(),
          .file = error.file(),
          .what = std::move(what),
          .remedy = error.next()};
}

SortedJson FindingsJson(const std::vector<Finding>& findings) {
  SortedJson json = SortedJson::array();
  for (const Finding& finding : findings) {
    json.push_back({{"rule", finding.rule},
                    {"severity", Name(finding.severity)},
                    {"tensor", finding.tensor},
                    {"file", finding.file},
                    {"what", finding.what},
                    {"remedy", finding.remedy}});
  }
  return json;
}

void PrintFindings(Terminal& terminal, const std::vector<Finding>& findings) {
  if (findings.empty()) return;
  terminal.Print("\n" + terminal.Paint(Colour::kBold, "findings") + "\n");
  for (const Finding& finding : findings) {
    const Colour colour = finding.severity == Severity::kError     ? Colour::kRed
                          : finding.severity == Severity::kWarning ? Colour::kYellow
                                                                   : Colour::kDim;
    terminal.Print("  " + terminal.Paint(colour, Name(finding.severity)) + " " + finding.rule +
                   ": " + finding.what + "\n");
    const auto detail = [&](std::string_view label, const std::string& text) {
      if (!text.empty() && finding.what.find(text) == std::string::npos) {
        terminal.Print("    " + std::string(label) + text + "\n");
      }
    };
    detail("tensor: ", finding.tensor);
    detail("in: ", finding.file);
    detail("remedy: ", finding.remedy);
  }
}

}  // namespace tessera::cli
