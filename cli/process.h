// What both programs have around their commands.
#pragma once

#include "cli/session.h"

namespace tessera::cli {

// Standard descriptors and signals, as the rest may rely on; before anything else.
void PrepareProcess();

// Runs the program; an exception is an internal error. Returns the exit code.
int RunGuarded(int argc, const char* const* argv, Session& session);

}  // namespace tessera::cli
