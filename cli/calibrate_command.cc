#include <algorithm>
#include <chrono>
#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/token_input.h"
#include "verify/calibrate.h"

namespace tessera::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct CalibrateOptions {
  std::string checkpoint, out, memory = "4GiB";
  TokenInput input;
  ForwardOptions run;
};

uint64_t Unreached(const CalibrationReport& report) {
  uint64_t experts = 0;
  for (const auto& [layer, count] : report.unreached) experts += count;
  return experts;
}

SortedJson ReportJson(const CalibrationReport& report, uint64_t read_bytes, double seconds) {
  SortedJson unreached = SortedJson::array();
  for (const auto& [layer, count] : report.unreached) {
    unreached.push_back({{"layer", layer}, {"experts", count}});
  }
  return {{"tokens", report.tokens},
          {"chunks", report.chunks},
          {"linears", report.linears},
          {"experts", report.experts},
          {"experts_unreached", Unreached(report)},
          {"unreached", std::move(unreached)},
          {"seconds", seconds},
          {"read_bytes", read_bytes},
          {"peak_memory", PeakMemory()}};
}

void PrintReport(const std::string& out, const CalibrationReport& report, uint64_t read_bytes,
                 double seconds, Terminal& terminal) {
  terminal.Print(out + ": " + Plural(report.linears, "linear") + " over " +
                 Plural(report.tokens, "token") + " in " + Plural(report.chunks, "chunk") + ", " +
                 HumanBytes(read_bytes) + " read in " +
                 std::to_string(static_cast<uint64_t>(seconds)) + " s\n");
  if (report.experts == 0) return;
  const uint64_t unreached = Unreached(report);
  if (unreached == 0) {
    terminal.Print("every one of " + Plural(report.experts, "expert") + " was reached\n");
    return;
  }
  const auto worst =
      std::ranges::max_element(report.unreached, {}, &std::pair<uint32_t, uint64_t>::second);
  terminal.Print(
      std::to_string(unreached) + " of " + Plural(report.experts, "expert") + " (" +
      Decimals(100.0 * static_cast<double>(unreached) / static_cast<double>(report.experts), 1) +
      "%) had no token, most of them in layer " + std::to_string(worst->first) + " (" +
      std::to_string(worst->second) + "): take more text\n");
}

Result<Outcome> RunCalibrate(const CalibrateOptions& typed, Terminal& terminal) {
  CalibrateOptions options = typed;
  TESSERA_ASSIGN(options.run.memory, ParseBytes("--memory", options.memory));
  options.run.signal = &WatchSignals();
  const Clock::time_point start = Clock::now();
  WorkCounters counters;
  TESSERA_ASSIGN(const auto calibrator,
                 Calibrator::Open(options.checkpoint, options.run, counters));
  TESSERA_ASSIGN(const auto tokens,
                 ReadTokens(options.input, options.checkpoint, calibrator->spec().vocab_size));
  Result<CalibrationReport> report = [&] {
    const ProgressLine line(terminal, "calibrate", counters);
    return calibrator->Run(tokens, options.out, options.input.file());
  }();
  if (!report) return Fail(std::move(report).error());
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (terminal.json) {
    terminal.PrintJson(ReportJson(*report, counters.done_bytes, seconds));
  } else {
    PrintReport(options.out, *report, counters.done_bytes, seconds, terminal);
  }
  return Outcome::kDone;
}

}  // namespace

void AddCalibrate(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "calibrate", "Measure what enters each linear while the model reads a text",
      "Writes one GGUF file for `quantize --calibration`, `gguf --imatrix` and llama.cpp: mean\n"
      "squares by column as llama-imatrix collects them, the largest magnitude of each linear's\n"
      "input, and how many tokens each expert had. Weights are read once, layer by layer, for all\n"
      "chunks of 512 tokens together; of experts only those that a token goes to.");
  auto options = std::make_shared<CalibrateOptions>();
  verb.add_option("CKPT", options->checkpoint,
                  "A folder, an index file, a .safetensors or a .gguf file")
      ->required();
  verb.add_option("OUT", options->out, "File to write; replaces only what calibrate wrote")
      ->required();
  AddTokenInput(verb, options->input);
  verb.add_option("--threads", options->run.threads, "Computing threads; default: the cores")
      ->check(CLI::Range(1, 64));
  verb.add_option("--memory", options->memory, "Budget for activations and weights in use")
      ->capture_default_str();
  verb.add_option("--config", options->run.checkpoint.config,
                  "A config.json to use instead of CKPT's")
      ->group(kMore);
  verb.add_flag("--no-index", options->run.checkpoint.allow_no_index,
                "Accept several shards without an index")
      ->group(kMore);
  SetAction(verb, session, options, RunCalibrate);
}

}  // namespace tessera::cli
