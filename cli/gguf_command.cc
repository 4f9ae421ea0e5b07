#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "convert/gguf_mix.h"
#include "formats/shard_name.h"

namespace tessera::cli {
namespace {

struct GgufOptions : ConversionOptions {
  std::string type, split_size;
  std::vector<std::string> tensor_types;
  bool no_tokenizer = false;
  GgufRequest gguf;
};

Result<const GgufMix*> ParseMix(const std::string& name) {
  if (const GgufMix* mix = FindGgufMix(name)) return mix;
  std::vector<std::string> names;
  for (const GgufMix& mix : GgufMixes()) names.emplace_back(mix.name);
  return Fail(Error(ErrorCode::kUsage, "--type: unknown type " + name)
                  .Expected(Joined(names, ", "))
                  .Next("docs/gguf.md says what each is and how large it makes V3"));
}

Result<Outcome> RunGguf(const GgufOptions& typed, Terminal& terminal) {
  GgufOptions options = typed;
  GgufRequest& gguf = options.gguf;
  if (options.request.out.extension() != kGgufEnding || options.request.out.stem().empty()) {
    return Fail(Error(ErrorCode::kUsage, "the output is a file that ends in .gguf")
                    .Found(options.request.out.string()));
  }
  TESSERA_ASSIGN(gguf.mix, ParseMix(options.type));
  for (const std::string& text : options.tensor_types) {
    TESSERA_ASSIGN(GgufTypeRule rule, ParseGgufTypeRule(text));
    gguf.rules.push_back(std::move(rule));
  }
  gguf.tokenizer = !options.no_tokenizer;
  options.request.gguf = std::move(gguf);
  if (!options.split_size.empty()) {
    TESSERA_ASSIGN(options.request.shard_size, ParseBytes("--split-size", options.split_size));
  }
  if (options.mtp.empty()) options.mtp = "drop";
  return RunConversion(options, terminal);
}

}  // namespace

void AddGguf(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "gguf", "Write GGUF files as llama.cpp loads them, of any type",
      "One pass from FP8, BF16 or a decodable INT4 or INT8 to the finished file or files: weights "
      "of "
      "any\n"
      "type, metadata and tokenizer. A type that names a mix gives every tensor the type that "
      "llama-quantize\n"
      "gives it. Weights are quantized from their exact values, with no BF16 file between.");
  auto options = std::make_shared<GgufOptions>();
  options->verb = "gguf";
  AddInput(verb, *options);
  verb.add_option("OUT", options->request.out, "File to write; ends in .gguf")->required();
  verb.add_option("--type", options->type,
                  "Q4_K_M, Q8_0, IQ4_XS, MXFP4_MOE, BF16, dynamic-Q2, ...: see docs/gguf.md")
      ->required();
  verb.add_option(
      "--tensor-type", options->tensor_types,
      "REGEX=TYPE: tensors whose name it is found in; may be repeated, the first counts");
  verb.add_option("--imatrix", options->gguf.imatrix, "Importance matrix, GGUF or .dat");
  verb.add_option("--split-size", options->split_size,
                  "Largest file, such as 50GB; default: one file");
  verb.add_flag("--no-tokenizer", options->no_tokenizer, "Write no tokenizer");
  verb.add_option("--name", options->gguf.name, "What the file calls its model")->group(kMore);
  verb.add_option("--mtp", options->mtp, "MTP module: keep or drop; default: drop");
  AddRunOptions(verb, session, *options);
  SetAction(verb, session, std::move(options), RunGguf);
}

}  // namespace tessera::cli
