// The list of the program's verbs.
#pragma once

#include "cli/session.h"

namespace tessera::cli {

void AddInspect(CLI::App& app, Session& session);
void AddCalibrate(CLI::App& app, Session& session);
void AddCast(CLI::App& app, Session& session);
void AddEngines(CLI::App& app, Session& session);
void AddFinish(CLI::App& app, Session& session);
void AddForward(CLI::App& app, Session& session);
void AddGguf(CLI::App& app, Session& session);
void AddJoinMtp(CLI::App& app, Session& session);
void AddQuantize(CLI::App& app, Session& session);
void AddReshard(CLI::App& app, Session& session);
void AddSchemes(CLI::App& app, Session& session);
void AddSplitMtp(CLI::App& app, Session& session);
void AddSynth(CLI::App& app, Session& session);
void AddVerify(CLI::App& app, Session& session);
void AddVersion(CLI::App& app, Session& session);

// All of them, in the order of the help.
void AddCommands(CLI::App& app, Session& session);
// Those whose work several processes can share.
void AddSharedCommands(CLI::App& app, Session& session);

}  // namespace tessera::cli
