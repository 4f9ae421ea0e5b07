#include <memory>

#include "cli/commands.h"
#include "cli/comparison_output.h"
#include "cli/conversion.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "verify/comparison_page.h"
#include "verify/manifest_check.h"
#include "verify/tensor_compare.h"

namespace tessera::cli {
namespace {

struct VerifyOptions {
  std::string a, b;
  bool tensors = false;
  std::string report;
  std::vector<std::string> gates;
  std::string memory = "256MiB";
  unsigned threads = 0;
};

constexpr size_t kShownFaults = 10;

SortedJson FaultsJson(const ManifestReport& report) {
  SortedJson faults = SortedJson::array();
  for (const ManifestFault& fault : report.faults) {
    faults.push_back({{"tensor", fault.tensor}, {"file", fault.file}, {"what", fault.what}});
  }
  return faults;
}

std::string Verdict(const ManifestReport& report) {
  if (report.holds()) return "every byte is what the manifest says";
  return "differs from its manifest: " + Plural(report.faults.size(), "fault");
}

void PrintReport(const std::string& dir, const ManifestReport& report, Terminal& terminal) {
  if (terminal.json) {
    terminal.PrintJson({{"verdict", Verdict(report)},
                        {"exact", report.exact},
                        {"within", 0},
                        {"failed", report.failed},
                        {"unmatched_a", report.extra},
                        {"unmatched_b", report.missing},
                        {"side_files", report.side_files},
                        {"worst", FaultsJson(report)}});
    return;
  }
  terminal.Print(dir + ": " + Verdict(report) + "\n");
  terminal.Print(Plural(report.exact, "tensor") + " exact, " + std::to_string(report.failed) +
                 " changed, " + std::to_string(report.missing) + " missing, " +
                 std::to_string(report.extra) + " not in the manifest; " +
                 Plural(report.side_files, "side file") + " exact\n");
  for (size_t i = 0; i < std::min(report.faults.size(), kShownFaults); ++i) {
    const ManifestFault& fault = report.faults[i];
    terminal.Print("  " + (fault.tensor.empty() ? fault.file : fault.tensor + " in " + fault.file) +
                   ": " + fault.what + "\n");
  }
  if (report.faults.size() > kShownFaults) {
    terminal.Print("  and " + std::to_string(report.faults.size() - kShownFaults) +
                   " more (--json lists all)\n");
  }
}

Result<Outcome> RunManifestCheck(const VerifyOptions& options, Terminal& terminal) {
  WorkCounters counters;
  Result<ManifestReport> report = [&] {
    const ProgressLine line(terminal, "verify", counters);
    return CheckManifest(options.a, {.threads = options.threads, .signal = &WatchSignals()},
                         counters);
  }();
  if (!report) return Fail(std::move(report).error());
  PrintReport(options.a, *report, terminal);
  return report->holds() ? Outcome::kDone : Outcome::kNegative;
}

std::string ShellQuoted(const std::string& text) {
  constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
  if (!text.empty() && text.find_first_not_of(kSafe) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// The command that makes the same report again.
std::string CommandOf(const VerifyOptions& options) {
  std::string command =
      "tessera verify " + ShellQuoted(options.a) + " " + ShellQuoted(options.b) + " --tensors";
  for (const std::string& gate : options.gates) command += " --gate " + ShellQuoted(gate);
  return command + " --report " + ShellQuoted(options.report);
}

// A slip of the pen must not replace a shard.
Result<void> CheckReportName(const std::string& report) {
  if (report.empty() || report.ends_with(".html")) return {};
  return Fail(Error(ErrorCode::kUsage, "--report: not the name of an HTML file: " + report)
                  .Expected("a name that ends in .html"));
}

Result<void> WritePage(const VerifyOptions& options, const ComparisonReport& report) {
  const std::filesystem::path path = options.report;
  return WriteFileAtomically(path, RenderComparisonPage(report, CommandOf(options)),
                             path.has_parent_path() ? path.parent_path() : ".");
}

Result<Outcome> RunComparison(const VerifyOptions& options, Terminal& terminal) {
  CompareOptions compare{.threads = options.threads, .signal = &WatchSignals()};
  TESSERA_TRY(CheckReportName(options.report));
  TESSERA_ASSIGN(compare.memory, ParseBytes("--memory", options.memory));
  TESSERA_ASSIGN(compare.gates, QualityGates::WithOverrides(options.gates));
  WorkCounters counters;
  Result<ComparisonReport> report = [&] {
    const ProgressLine line(terminal, "verify", counters);
    return CompareTensors(options.a, options.b, compare, counters);
  }();
  if (!report) return Fail(std::move(report).error());
  if (!options.report.empty()) TESSERA_TRY(WritePage(options, *report));
  PrintComparison(*report, terminal);
  return report->passes() ? Outcome::kDone : Outcome::kNegative;
}

Result<Outcome> RunVerify(const VerifyOptions& options, Terminal& terminal) {
  if (!options.b.empty()) return RunComparison(options, terminal);
  if (options.tensors || !options.report.empty() || !options.gates.empty()) {
    return Fail(Error(ErrorCode::kUsage, "--tensors, --gate and --report compare two checkpoints")
                    .Expected("tessera verify A B")
                    .Next("tessera verify OUT alone re-hashes OUT against its manifest"));
  }
  return RunManifestCheck(options, terminal);
}

}  // namespace

void AddVerify(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "verify", "Re-hash an output, or compare two checkpoints",
      "With A alone: reads every byte of it once and compares it with its manifest.\n"
      "With B: every tensor of A against B, whatever names, shards, ranks and types they are\n"
      "stored in: exact, or as far off as its storage explains. Exit code 1 when anything is not\n"
      "as it should be, with the tensors and files that are not.");
  auto options = std::make_shared<VerifyOptions>();
  verb.add_option("A", options->a, "A folder that tessera wrote; with B, any checkpoint")
      ->required();
  verb.add_option("B", options->b, "The checkpoint to compare with A");
  verb.add_flag("--tensors", options->tensors, "Compare tensor by tensor; the default with B");
  verb.add_option("--report", options->report, "Write the comparison as one HTML file");
  verb.add_option("--gate", options->gates, "Another limit, NAME=VALUE; may be repeated")
      ->allow_extra_args(false);
  verb.add_option("--threads", options->threads, "Threads; default: all cores")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--memory", options->memory, "With B: budget for buffers")->capture_default_str();
  SetAction(verb, session, std::move(options), RunVerify);
}

}  // namespace tessera::cli
