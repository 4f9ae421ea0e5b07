#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"

namespace tessera::cli {
namespace {

struct SplitMtpOptions : ConversionOptions {
  std::filesystem::path module;
  std::string engine;
};

Result<ModuleFor> ParseEngine(const std::string& text) {
  for (const ModuleFor engine : {ModuleFor::kSglang, ModuleFor::kVllm, ModuleFor::kDeepSeek}) {
    if (Name(engine) == text) return engine;
  }
  return Fail(Error(ErrorCode::kUsage, "--for: unknown engine " + text)
                  .Expected("sglang, vllm or deepseek"));
}

Result<Outcome> RunSplitMtp(const SplitMtpOptions& typed, Terminal& terminal) {
  SplitMtpOptions options = typed;
  options.request.split = options.module;
  if (!options.engine.empty()) {
    TESSERA_ASSIGN(options.request.split_for, ParseEngine(options.engine));
  }
  return RunConversion(options, terminal);
}

}  // namespace

void AddSplitMtp(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "split-mtp", "Main model and MTP module, each into a folder of its own",
      "One pass over IN writes both. The main model's config.json promises no module; the module\n"
      "keeps its names and can be inspected, cast and joined again with join-mtp. --for sglang "
      "makes\n"
      "the draft that SGLang's exporter makes: layer 0, without the copies of embedding and head. "
      "--for\n"
      "vllm keeps names and copies, as vLLM reads them; --for deepseek writes mtp.0.* under the "
      "demo's\n"
      "names.");
  auto options = std::make_shared<SplitMtpOptions>();
  options->verb = "split-mtp";
  AddInput(verb, *options);
  verb.add_option("--main", options->request.out, "Folder to write the main model to")->required();
  verb.add_option("--mtp", options->module, "Folder to write the module to")->required();
  verb.add_option("--for", options->engine, "Form of the module: sglang, vllm or deepseek");
  AddShardOptions(verb, session, *options);
  SetAction(verb, session, std::move(options), RunSplitMtp);
}

}  // namespace tessera::cli
