#include "cli/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>

namespace tessera::cli {
namespace {

// A standard descriptor that is closed would be given to the first file opened: a message could end
// up in a shard. Filled with what cannot be used instead.
void FillStandardDescriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) == 0) continue;
    // open gives the lowest free number, which is this one.
    (void)::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

void PrepareProcess() {
  FillStandardDescriptors();
  // Both are reported by the write that meets them: EPIPE, EFBIG.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

int RunGuarded(int argc, const char* const* argv, Session& session) {
  try {
    return RunProgram(argc, argv, session);
  } catch (const std::exception& e) {
    return TellFailure(session, Error(ErrorCode::kInternal, e.what()));
  }
}

}  // namespace tessera::cli
