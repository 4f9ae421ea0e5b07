#include "cli/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <new>
#include <string_view>

#include "cli/rank_job.h"
#include "convert/worker_pool.h"

namespace tessera::cli {
namespace {

// Whether --json was given, for whoever has to say something before or beside the parsing of
// options.
bool json = false;

// A standard descriptor that is closed would be given to the first file opened: a message could end
// up in a shard. Filled with what cannot be used instead.
void FillStandardDescriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) == 0) continue;
    // open gives the lowest free number, which is this one.
    (void)::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

constexpr char kNoMemory[] = "memory ran out";
constexpr char kNoThreads[] = "threads cannot be started: the system gives no more";

void Say(std::string_view text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

// Several threads may run out of memory at once. The first one speaks and ends the program; the
// others leave it the time for that.
void SpeakAlone() {
  static std::atomic_flag spoken;
  if (!spoken.test_and_set()) return;
  ::sleep(2);
  ::_exit(static_cast<int>(ErrorClass::kMemory));
}

// The error of a shortage, without allocating.
int SayShortage(std::string_view what) {
  SpeakAlone();
  Say("error: ");
  Say(what);
  Say("\n  give less with --memory or --threads, or raise the limit\n");
  if (json) {
    Say(R"({"error":{"class":"memory","code":6,"file":"","rule":"memory-budget","tensor":"","what":")");
    Say(what);
    Say("\"}}\n");
  }
  return static_cast<int>(ErrorClass::kMemory);
}

// An exception that nobody catches, on whatever thread. OUT is then as after a kill.
void OnTerminate() {
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    ::_exit(SayShortage(kNoMemory));
  } catch (const std::exception& e) {
    if (IsThreadShortage(e)) ::_exit(SayShortage(kNoThreads));
    Say("error: internal error: ");
    Say(e.what());
  } catch (...) {
    Say("error: internal error");
  }
  Say("\n");
  ::_exit(static_cast<int>(ErrorClass::kInternal));
}

// Out of memory there is no asking other processes whether they failed first, but they are told.
int TellShortage(Session& session) {
  const int code = SayShortage(kNoMemory);
  if (session.job != nullptr) session.job->IsFirstFailure(code);
  return code;
}

}  // namespace

void PrepareProcess() {
  FillStandardDescriptors();
  // Both are reported by the write that meets them: EPIPE, EFBIG.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

int RunGuarded(int argc, const char* const* argv, Session& session) {
  json = std::any_of(argv, argv + argc,
                     [](std::string_view argument) { return argument == "--json"; });
  std::set_terminate(OnTerminate);
  try {
    return RunProgram(argc, argv, session);
  } catch (const std::bad_alloc&) {
    return TellShortage(session);
  } catch (const std::exception& e) {
    return TellFailure(session, IsThreadShortage(e) ? Error(ErrorCode::kMemoryBudget, kNoThreads)
                                                    : Error(ErrorCode::kInternal, e.what()));
  }
}

}  // namespace tessera::cli
