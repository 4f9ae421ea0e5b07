#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "quant/registry.h"

namespace tessera::cli {
namespace {

struct QuantizeOptions : ConversionOptions {
  std::string scheme, search, engine;
  bool experts_only = false, all_linears = false;
  QuantizeRequest quantize;
};

Result<const SchemeRow*> ParseScheme(const std::string& name) {
  if (const SchemeRow* row = FindScheme(name)) return row;
  std::string names;
  for (const SchemeRow& row : Schemes()) {
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return Fail(Error(ErrorCode::kUsage, "--scheme: unknown scheme " + name)
                  .Expected(names)
                  .Next("tessera schemes says what each is"));
}

Result<Search> ParseSearch(const std::string& text) {
  for (const Search search : {Search::kAbsMax, Search::kMse, Search::kMseSigned}) {
    if (Name(search) == text) return search;
  }
  return Fail(Error(ErrorCode::kUsage, "--search: unknown way " + text)
                  .Expected("absmax, mse or mse-signed"));
}

Result<Outcome> RunQuantize(const QuantizeOptions& typed, Terminal& terminal) {
  QuantizeOptions options = typed;
  QuantizeRequest& quantize = options.quantize;
  TESSERA_ASSIGN(quantize.scheme, ParseScheme(options.scheme));
  TESSERA_ASSIGN(quantize.search, ParseSearch(options.search));
  if (!options.engine.empty()) {
    TESSERA_ASSIGN(quantize.engine, FindEngine(options.engine));
  }
  if (options.experts_only && options.all_linears) {
    return Fail(ErrorCode::kUsage, "--experts-only and --all-linears exclude each other");
  }
  if (options.experts_only) quantize.reach = Reach::kExpertsOnly;
  if (options.all_linears) quantize.reach = Reach::kAllLinears;
  if (quantize.input_scale && quantize.calibration) {
    return Fail(ErrorCode::kUsage, "--input-scale and --calibration exclude each other");
  }
  if (!quantize.scheme->needs_input_scale && (quantize.input_scale || quantize.calibration)) {
    return Fail(Error(ErrorCode::kUsage, options.scheme + " stores no scale of activations")
                    .Next("leave out --input-scale and --calibration"));
  }
  options.request.quantize = std::move(quantize);
  return RunConversion(options, terminal);
}

}  // namespace

void AddQuantize(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "quantize", "Requantize to INT8, INT4 or FP8 as serving engines load it",
      "One pass from FP8, BF16 or a decodable INT4 or INT8 to the finished checkpoint: weights, "
      "scales,\n"
      "config.json and index. Router, norms, embeddings and lm_head stay as they are; linears that "
      "the\n"
      "scheme does not reach become BF16, except where it says that they stay FP8. `tessera "
      "schemes`\n"
      "lists the schemes, `tessera engines` what each engine loads. The manifest records each "
      "tensor's\n"
      "quality; exit code 1 means that the output is whole but some tensor is worse than its "
      "scheme\n"
      "should make it.");
  auto options = std::make_shared<QuantizeOptions>();
  options->verb = "quantize";
  AddConversionOptions(verb, session, *options);
  verb.add_option("--scheme", options->scheme, "How weights are stored: see tessera schemes")
      ->required();
  verb.add_option("--for", options->engine, "Engine whose rules it must keep: see tessera engines");
  verb.add_flag("--experts-only", options->experts_only, "Quantize routed experts only");
  verb.add_flag("--all-linears", options->all_linears, "Quantize attention and all MLPs too");
  verb.add_option("--ignore", options->quantize.ignore,
                  "Leave out modules whose name matches this expression; may be repeated");
  verb.add_option("--search", options->search,
                  "How scales are chosen: mse (least error), absmax (as upstream), mse-signed")
      ->default_val("mse");
  verb.add_option("--input-scale", options->quantize.input_scale,
                  "Scale of activations, where the scheme stores one")
      ->check(CLI::PositiveNumber);
  verb.add_option("--calibration", options->quantize.calibration,
                  "File of the activations' maxima, by linear: see docs/cli.md");
  SetAction(verb, session, std::move(options), RunQuantize);
}

}  // namespace tessera::cli
