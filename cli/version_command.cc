#include <memory>

#include "cli/commands.h"
#include "formats/version.h"

namespace tessera::cli {
namespace {

struct VersionOptions {};

Result<Outcome> RunVersion(const VersionOptions&, Terminal& terminal) {
  if (terminal.json) {
    terminal.PrintJson(
        {{"name", "tessera"}, {"version", kVersion}, {"numerics", kNumericsVersion}});
  } else {
    terminal.Print("tessera " + std::string(kVersion) + " (numerics " +
                   std::to_string(kNumericsVersion) + ")\n");
  }
  return Outcome::kDone;
}

}  // namespace

void AddVersion(CLI::App& app, Session& session) {
  CLI::App& verb =
      AddVerb(app, session, "version", "The release, and the number of its numerics",
              "Two releases with the same numerics write the same bytes for the same request.");
  SetAction(verb, session, std::make_shared<VersionOptions>(), RunVersion);
}

}  // namespace tessera::cli
