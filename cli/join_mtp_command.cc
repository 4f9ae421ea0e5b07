#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"

namespace tessera::cli {
namespace {

struct JoinMtpOptions : ConversionOptions {
  std::filesystem::path module;
};

Result<Outcome> RunJoinMtp(const JoinMtpOptions& typed, Terminal& terminal) {
  JoinMtpOptions options = typed;
  options.request.module = options.module;
  return RunConversion(options, terminal);
}

}  // namespace

void AddJoinMtp(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "join-mtp", "A main model and its MTP module, back into one checkpoint",
      "Takes what split-mtp wrote, or --mtp drop and --mtp only, and gives the checkpoint that "
      "they "
      "were\n"
      "made from, tensor for tensor. The two config.json must agree in all but the module. Shards "
      "are\n"
      "the main model's and then the module's, numbered as one series.");
  auto options = std::make_shared<JoinMtpOptions>();
  options->verb = "join-mtp";
  verb.add_option("MAIN", options->request.in, "Checkpoint without MTP module")->required();
  verb.add_option("MTP", options->module, "Checkpoint that is an MTP module alone")->required();
  verb.add_option("OUT", options->request.out, "Folder to write; made if it is not there")
      ->required();
  AddShardOptions(verb, session, *options);
  SetAction(verb, session, std::move(options), RunJoinMtp);
}

}  // namespace tessera::cli
