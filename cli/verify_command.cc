#include <memory>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "verify/manifest_check.h"

namespace tessera::cli {
namespace {

struct VerifyOptions {
  std::string a;
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

Result<Outcome> RunVerify(const VerifyOptions& options, Terminal& terminal) {
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

}  // namespace

void AddVerify(CLI::App& app, Session& session) {
  CLI::App& verb =
      AddVerb(app, session, "verify", "Re-hash a finished output against its manifest",
              "Reads every byte of OUT once: shards, config, index, side files. Exit code 1 when\n"
              "anything differs, with the tensors and files that do.");
  auto options = std::make_shared<VerifyOptions>();
  verb.add_option("OUT", options->a, "A folder that tessera wrote")->required();
  verb.add_option("--threads", options->threads, "Hashing threads; default: all cores")
      ->check(CLI::Range(1, 1024));
  SetAction(verb, session, std::move(options), RunVerify);
}

}  // namespace tessera::cli
