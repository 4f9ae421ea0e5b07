#include "cli/commands.h"

namespace tessera::cli {

void AddCommands(CLI::App& app, Session& session) { AddVersion(app, session); }

}  // namespace tessera::cli
