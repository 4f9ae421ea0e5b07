#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>

#include "cli/session.h"

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

int main(int argc, char** argv) {
  FillStandardDescriptors();
  // Both are reported by the write that meets them: EPIPE, EFBIG.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);

  tessera::cli::Session session;
  try {
    return tessera::cli::RunProgram(argc, argv, session);
  } catch (const std::exception& e) {
    const tessera::Error error(tessera::ErrorCode::kInternal, e.what());
    session.terminal.PrintError(error);
    return static_cast<int>(error.error_class());
  }
}
