// Ctrl-C and friends: the first asks a run to stop, the second ends the program at once.
#pragma once

#include <atomic>

namespace tessera::cli {

// Installs the handlers for SIGINT and SIGTERM. The result holds the first signal's number, or 0.
const std::atomic<int>& WatchSignals();

}  // namespace tessera::cli
