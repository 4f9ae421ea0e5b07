#include <chrono>
#include <cmath>
#include <memory>

#include "cli/arithmetic_options.h"
#include "cli/commands.h"
#include "cli/conversion.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/token_input.h"
#include "verify/forward_report.h"
#include "verify/logits_file.h"

namespace tessera::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct ForwardVerbOptions {
  std::string checkpoint, logits;
  TokenInput input;
  std::optional<WeightValues> weights;
  std::string decoder = "fast", memory = "4GiB";
  ForwardOptions run;
};

Result<void> ApplyNames(ForwardVerbOptions& options) {
  options.run.weights = options.weights.value_or(WeightValues::kStored);
  if (options.decoder == "reference") options.run.decoder = Decoder::kReference;
  TESSERA_ASSIGN(options.run.memory, ParseBytes("--memory", options.memory));
  return {};
}

// Opened before the pass, so that an output that cannot be written fails at once.
Result<ForwardReport> RunWithLogits(ForwardPass& pass, const std::vector<uint32_t>& tokens,
                                    const std::string& path) {
  if (path.empty()) return RunForward(pass, tokens, {});
  TESSERA_ASSIGN(LogitsFile file, LogitsFile::Create(path, tokens.size(), pass.spec().vocab_size));
  TESSERA_ASSIGN(ForwardReport report,
                 RunForward(pass, tokens, [&](uint64_t first, std::span<const float> rows) {
                   return file.WriteRows(first, rows);
                 }));
  TESSERA_TRY(file.Publish());
  return report;
}

SortedJson ReportJson(const ForwardReport& report, uint64_t read_bytes, double seconds) {
  SortedJson top = SortedJson::array();
  for (const std::vector<TokenProbability>& likeliest : report.top_k) {
    SortedJson& of_position = top.emplace_back(SortedJson::array());
    for (const TokenProbability& entry : likeliest) {
      of_position.push_back(
          {{"token", entry.token}, {"logit", entry.logit}, {"probability", entry.probability}});
    }
  }
  SortedJson json = {{"tokens", report.top1.size()}, {"nll", nullptr},
                     {"perplexity", nullptr},        {"top1", report.top1},
                     {"top_k", std::move(top)},      {"mtp_acceptance", nullptr},
                     {"mtp_nll", nullptr},           {"seconds", seconds},
                     {"read_bytes", read_bytes},     {"peak_memory", PeakMemory()}};
  if (report.nll) json["nll"] = *report.nll;
  if (report.nll) json["perplexity"] = std::exp(*report.nll);
  if (report.mtp_acceptance) json["mtp_acceptance"] = *report.mtp_acceptance;
  if (report.mtp_nll) json["mtp_nll"] = *report.mtp_nll;
  return json;
}

void PrintReport(const ForwardReport& report, uint64_t read_bytes, double seconds,
                 Terminal& terminal) {
  terminal.Print(Plural(report.top1.size(), "token") + " in " + Decimals(seconds, 1) + " s, " +
                 HumanBytes(read_bytes) + " read\n");
  if (report.nll) {
    terminal.Print("perplexity  " + Decimals(std::exp(*report.nll), 4) + "  (" +
                   Decimals(*report.nll, 6) + " nats a token)\n");
  }
  if (report.mtp_acceptance) {
    terminal.Print("MTP drafts  " + Decimals(100 * *report.mtp_acceptance, 1) +
                   "% are the main model's own next token\n");
  }
  terminal.Print("next token ");
  for (const TokenProbability& entry : report.top_k.back()) {
    terminal.Print(" " + std::to_string(entry.token) + " (" + Decimals(entry.probability, 4) + ")");
  }
  terminal.Print("\n");
}

Result<Outcome> RunForwardVerb(const ForwardVerbOptions& typed, Terminal& terminal) {
  ForwardVerbOptions options = typed;
  TESSERA_TRY(ApplyNames(options));
  options.run.signal = &WatchSignals();
  const Clock::time_point start = Clock::now();
  WorkCounters counters;
  TESSERA_ASSIGN(const auto pass, ForwardPass::Open(options.checkpoint, options.run, counters));
  TESSERA_ASSIGN(const auto tokens,
                 ReadTokens(options.input, options.checkpoint, pass->spec().vocab_size));
  Result<ForwardReport> report = [&] {
    const ProgressLine line(terminal, "forward", counters);
    return RunWithLogits(*pass, tokens, options.logits);
  }();
  if (!report) return Fail(std::move(report).error());
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (terminal.json) {
    terminal.PrintJson(ReportJson(*report, counters.done_bytes, seconds));
  } else {
    PrintReport(*report, counters.done_bytes, seconds, terminal);
  }
  return Outcome::kDone;
}

}  // namespace

void AddForward(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "forward", "Run the model over a sequence of tokens, layer by layer",
      "Weights stream from disk, of experts only those that a token is routed to. Prints the\n"
      "perplexity, the likeliest next tokens and how often the MTP module's draft is the main\n"
      "model's own choice; --logits writes one F32 tensor `logits` [tokens, vocab].\n"
      "docs/numerics.md says where each --dtype rounds.");
  auto options = std::make_shared<ForwardVerbOptions>();
  verb.add_option("CKPT", options->checkpoint,
                  "A folder, an index file, a .safetensors or a .gguf file")
      ->required();
  AddTokenInput(verb, options->input);
  verb.add_option("--logits", options->logits, "Write the logits to this safetensors file");
  AddDtype(verb, options->run.arithmetic);
  AddWeights(verb, "stored, the default, or bf16: rounded to BF16 first", options->weights);
  verb.add_option("--decoder", options->decoder, "fast, or reference: scalar, as a check")
      ->check(CLI::IsMember({"fast", "reference"}))
      ->capture_default_str();
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
  SetAction(verb, session, options, RunForwardVerb);
}

}  // namespace tessera::cli
