#include "cli/commands.h"

namespace tessera::cli {

void AddCommands(CLI::App& app, Session& session) {
  AddInspect(app, session);
  AddCast(app, session);
  AddReshard(app, session);
  AddSplitMtp(app, session);
  AddJoinMtp(app, session);
  AddQuantize(app, session);
  AddFinish(app, session);
  AddGguf(app, session);
  AddForward(app, session);
  AddCalibrate(app, session);
  AddVerify(app, session);
  AddSchemes(app, session);
  AddSynth(app, session);
  AddEngines(app, session);
  AddVersion(app, session);
}

void AddSharedCommands(CLI::App& app, Session& session) {
  AddCast(app, session);
  AddReshard(app, session);
  AddSplitMtp(app, session);
  AddJoinMtp(app, session);
  AddQuantize(app, session);
  AddGguf(app, session);
}

}  // namespace tessera::cli
