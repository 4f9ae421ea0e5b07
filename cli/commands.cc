#include "cli/commands.h"

namespace tessera::cli {

void AddCommands(CLI::App& app, Session& session) {
  AddInspect(app, session);
  AddCast(app, session);
  AddReshard(app, session);
  AddForward(app, session);
  AddVerify(app, session);
  AddSynth(app, session);
  AddVersion(app, session);
}

}  // namespace tessera::cli
