#include <memory>

#include "cli/arithmetic_options.h"
#include "cli/commands.h"
#include "cli/comparison_output.h"
#include "cli/conversion.h"
#include "cli/forward_output.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/token_input.h"
#include "formats/staged_file.h"
#include "verify/forward_compare.h"
#include "verify/manifest_check.h"
#include "verify/report_page.h"
#include "verify/tensor_compare.h"

namespace tessera::cli {
namespace {

struct VerifyOptions {
  std::string a, b;
  bool tensors = false, forward = false;
  TokenInput input;
  ForwardCompareOptions run;  // of --forward
  std::string report;
  std::vector<std::string> gates;
  std::string memory;  // empty: as much as what is asked for needs by default
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
  std::string command = "tessera verify " + ShellQuoted(options.a) + " " + ShellQuoted(options.b);
  if (options.tensors) command += " --tensors";
  if (options.forward) {
    command += options.input.text.empty() ? " --forward --tokens " : " --forward --text ";
    command += ShellQuoted(options.input.file());
  }
  if (options.run.run.arithmetic == Arithmetic::kBf16) command += " --dtype bf16";
  if (options.run.run.arithmetic == Arithmetic::kFp8) command += " --dtype fp8";
  if (options.run.weights) {
    command +=
        *options.run.weights == WeightValues::kBf16 ? " --weights bf16" : " --weights stored";
  }
  for (const std::string& gate : options.gates) command += " --gate " + ShellQuoted(gate);
  return command + " --report " + ShellQuoted(options.report);
}

// Created before the work, so that a page that cannot be written fails at once. A slip of the pen
// must not replace a shard.
Result<std::optional<StagedFile>> CreatePage(const std::string& report) {
  if (report.empty()) return std::nullopt;
  std::error_code error;
  if (!report.ends_with(".html") || std::filesystem::is_directory(report, error)) {
    return Fail(Error(ErrorCode::kUsage, "--report: not the name of an HTML file: " + report)
                    .Expected("a name that ends in .html"));
  }
  return StagedFile::Create(report);
}

Result<void> WritePage(StagedFile& file, const std::string& page) {
  TESSERA_TRY(file.file().WriteAt(0, std::as_bytes(std::span(page))));
  return file.Publish();
}

Result<uint64_t> MemoryOf(const VerifyOptions& options, uint64_t by_default) {
  return options.memory.empty() ? Result<uint64_t>(by_default)
                                : ParseBytes("--memory", options.memory);
}

Result<ComparisonReport> RunTensors(const VerifyOptions& options, const QualityGates& gates,
                                    const Terminal& terminal) {
  CompareOptions compare{.threads = options.threads, .signal = &WatchSignals(), .gates = gates};
  TESSERA_ASSIGN(compare.memory, MemoryOf(options, compare.memory));
  WorkCounters counters;
  const ProgressLine line(terminal, "verify", counters);
  return CompareTensors(options.a, options.b, compare, counters);
}

Result<ForwardComparison> RunForward(const VerifyOptions& options, const QualityGates& gates,
                                     const Terminal& terminal) {
  ForwardCompareOptions compare = options.run;
  compare.gates = gates;
  compare.run.threads = options.threads;
  compare.run.signal = &WatchSignals();
  TESSERA_ASSIGN(compare.run.memory, MemoryOf(options, kDefaultForwardMemory));
  WorkCounters counters;
  TESSERA_ASSIGN(const auto comparer,
                 ForwardComparer::Open(options.a, options.b, compare, counters));
  TESSERA_ASSIGN(const auto tokens,
                 ReadTokens(options.input, options.a, comparer->spec().vocab_size));
  const ProgressLine line(terminal, "verify", counters);
  return comparer->Run(tokens);
}

// Both kinds of comparison in one object: what was not asked for is null.
SortedJson ReportJson(const ComparisonReport* tensors, const ForwardComparison* forward) {
  SortedJson json = {{"exact", nullptr},
                     {"within", nullptr},
                     {"failed", nullptr},
                     {"unmatched_a", nullptr},
                     {"unmatched_b", nullptr},
                     {"worst", SortedJson::array()},
                     {"gates", SortedJson::array()}};
  std::string verdict;
  const auto add = [&](SortedJson part) {
    verdict += (verdict.empty() ? "" : "; ") + part["verdict"].get<std::string>();
    for (SortedJson& gate : part["gates"]) json["gates"].push_back(gate);
    part["gates"] = json["gates"];
    json.update(part);
  };
  if (tensors != nullptr) add(ComparisonJson(*tensors));
  if (forward != nullptr) add(ForwardJson(*forward));
  json["verdict"] = verdict;
  return json;
}

Result<Outcome> RunComparison(const VerifyOptions& options, Terminal& terminal) {
  TESSERA_ASSIGN(const QualityGates gates, QualityGates::WithOverrides(options.gates));
  TESSERA_ASSIGN(std::optional<StagedFile> page, CreatePage(options.report));
  std::optional<ComparisonReport> tensors;
  std::optional<ForwardComparison> forward;
  if (options.forward) {
    TESSERA_ASSIGN(forward, RunForward(options, gates, terminal));
  }
  if (options.tensors) {
    TESSERA_ASSIGN(tensors, RunTensors(options, gates, terminal));
  }
  const ComparisonReport* const of_tensors = tensors ? &*tensors : nullptr;
  const ForwardComparison* const of_forward = forward ? &*forward : nullptr;
  if (page) {
    TESSERA_TRY(WritePage(*page, RenderReportPage(of_tensors, of_forward, CommandOf(options))));
  }
  if (terminal.json) {
    terminal.PrintJson(ReportJson(of_tensors, of_forward));
  } else {
    if (tensors) PrintComparison(*tensors, terminal);
    if (forward) PrintForward(*forward, terminal);
  }
  const bool passes = (!tensors || tensors->passes()) && (!forward || forward->passes());
  return passes ? Outcome::kDone : Outcome::kNegative;
}

Result<Outcome> RunVerify(const VerifyOptions& typed, Terminal& terminal) {
  VerifyOptions options = typed;
  if (options.forward == options.input.file().empty()) {
    return Fail(Error(ErrorCode::kUsage, "--forward runs both models over one text")
                    .Expected("tessera verify A B --forward --tokens FILE, or --text FILE"));
  }
  if (!options.b.empty()) {
    options.tensors = options.tensors || !options.forward;
    return RunComparison(options, terminal);
  }
  if (options.tensors || options.forward || !options.report.empty() || !options.gates.empty()) {
    return Fail(Error(ErrorCode::kUsage,
                      "--tensors, --forward, --gate and --report compare two checkpoints")
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
      "stored in: exact, or as far off as its storage explains. With --forward: what both models\n"
      "say of a text, layer by layer and token by token. Exit code 1 when anything is not as it\n"
      "should be, with the tensors and files that are not.");
  auto options = std::make_shared<VerifyOptions>();
  verb.add_option("A", options->a, "A folder that tessera wrote; with B, any checkpoint")
      ->required();
  verb.add_option("B", options->b, "The checkpoint to compare with A");
  verb.add_flag("--tensors", options->tensors, "Compare tensor by tensor; the default with B");
  CLI::Option* forward =
      verb.add_flag("--forward", options->forward, "Run both models over a text and compare them");
  AddTokenInput(verb, options->input);
  AddDtype(verb, options->run.run.arithmetic).needs(forward);
  AddWeights(verb, "stored, or bf16: A's rounded to BF16 first; by default if B is plain BF16",
             options->run.weights)
      .needs(forward);
  verb.add_option("--report", options->report, "Write the comparison as one HTML file");
  verb.add_option("--gate", options->gates, "Another limit, NAME=VALUE; may be repeated")
      ->allow_extra_args(false);
  verb.add_option("--threads", options->threads, "Threads; default: all cores")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--memory", options->memory,
                  "With B: budget for buffers; default 256MiB, with --forward 4GiB");
  SetAction(verb, session, std::move(options), RunVerify);
}

}  // namespace tessera::cli
