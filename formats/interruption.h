// The end that a signal asks for.
#pragma once

#include <csignal>

#include "formats/result.h"

namespace tessera {

inline Error InterruptedBy(int signal) {
  const bool terminated = signal == SIGTERM;
  return Error(terminated ? ErrorCode::kTerminated : ErrorCode::kInterrupted,
               terminated ? "terminated" : "interrupted");
}

}  // namespace tessera
