#include <memory>

#include "cli/commands.h"
#include "convert/synth.h"

namespace tessera::cli {
namespace {

struct SynthOptions {
  std::string out, preset, family = "v3", format;
  SynthRequest request;
};

Result<Outcome> RunSynth(const SynthOptions& options, Terminal& terminal) {
  SynthRequest request = options.request;
  TESSERA_ASSIGN(request.preset, ParseSynthPreset(options.preset));
  TESSERA_ASSIGN(request.family, ParseFamily(options.family));
  if (!options.format.empty()) {
    TESSERA_ASSIGN(request.format, ParseSynthFormat(options.format));
  }
  TESSERA_ASSIGN(const SynthSummary summary, Synthesize(request, options.out));
  if (terminal.json) {
    terminal.PrintJson({{"files", summary.files},
                        {"tensors", summary.tensors},
                        {"bytes", summary.payload_bytes},
                        {"file_bytes", summary.file_bytes},
                        {"format", Name(summary.format)},
                        {"split_pairs", summary.split_pairs}});
  } else {
    terminal.Print(options.out + ": " + Plural(summary.tensors, "tensor") + " in " +
                   Plural(summary.files, "file") + ", " + HumanBytes(summary.payload_bytes) + ", " +
                   std::string(Name(summary.format)) + "\n");
  }
  return Outcome::kDone;
}

}  // namespace

void AddSynth(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "synth", "Make a checkpoint to try things on",
      "Real names, shapes and oddities, invented weights; the same seed gives the same bytes.\n"
      "tiny is a few MB, small about 1 GB, v3-slice about 3 GB at true widths, deepseek-v3 (only\n"
      "with --sparse) the whole release as holes. --quirks adds what real releases have: scales "
      "in\n"
      "the next shard, odd offsets, a wrong total_size, duplicate MTP embedding and head.");
  auto options = std::make_shared<SynthOptions>();
  verb.add_option("OUT", options->out, "Folder to write; must be empty or absent")->required();
  verb.add_option("--preset", options->preset, "tiny, small, v3-slice or deepseek-v3")->required();
  verb.add_option("--family", options->family, "v2-lite, v3, v3.1, v3.2, k2 or glm5")
      ->capture_default_str();
  verb.add_option("--format", options->format, "fp8 or bf16; default: as the family was released");
  verb.add_flag("--quirks", options->request.quirks, "With the oddities of the real releases");
  verb.add_flag("--sparse", options->request.sparse, "Weights as holes: all zero, hardly any disk");
  verb.add_option("--seed", options->request.seed, "Other weights")->capture_default_str();
  SetAction(verb, session, std::move(options), RunSynth);
}

}  // namespace tessera::cli
