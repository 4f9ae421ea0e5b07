#include <fcntl.h>
#include <unistd.h>

#include "cli/mpi_ranks.h"
#include "cli/process.h"

namespace {

// Results and notes are rank 0's to tell; a failure is told by the rank that fails first.
void Quieten(tessera::cli::Session& session) {
  session.terminal.quiet = true;
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDOUT_FILENO);
}

}  // namespace

int main(int argc, char** argv) {
  tessera::cli::PrepareProcess();
  tessera::cli::MpiRanks ranks(argc, argv);
  tessera::cli::Session session;
  session.program = "tessera-mpi";
  session.job = &ranks;
  session.terminal.progress_in_log = true;
  if (ranks.rank() != 0) Quieten(session);
  return ranks.End(tessera::cli::RunGuarded(argc, argv, session));
}
