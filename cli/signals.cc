#include "cli/signals.h"

#include <signal.h>
#include <unistd.h>

namespace tessera::cli {
namespace {

std::atomic<int> received = 0;
static_assert(std::atomic<int>::is_always_lock_free);  // as a handler needs it

void OnSignal(int number) {
  int none = 0;
  if (!received.compare_exchange_strong(none, number)) ::_exit(128 + number);
}

}  // namespace

const std::atomic<int>& WatchSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction inherited = {};
    ::sigaction(number, nullptr, &inherited);
    // Whoever started us with the signal ignored (nohup, a background job) meant it.
    if (inherited.sa_handler != SIG_IGN) ::sigaction(number, &action, nullptr);
  }
  return received;
}

}  // namespace tessera::cli
