// What the commands share: how one is added, and how the chosen one runs.
//
// A command is one file with one function, `void AddInspect(CLI::App& app, Session& session)`,
// which makes the verb with AddVerb, gives it its options, and sets what it does with SetAction;
// commands.cc lists these functions. Options that only --help shows go into the group kMore.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "formats/result.h"

namespace tessera::cli {

// How a command that worked ended; failures are Errors.
enum class Outcome : uint8_t { kDone = 0, kNegative = 1 };

inline constexpr const char* kMore = "More options";

class RankJob;

struct Session {
  std::string program = "tessera";
  RankJob* job = nullptr;  // of tessera-mpi: the processes that share the work
  Terminal terminal;
  std::vector<std::string> arguments;       // after the program's name
  std::function<Result<Outcome>()> action;  // of the verb on the command line
};

// A verb with the options every verb has (--json, -q). `details` is what --help says after the
// options and -h leaves out.
CLI::App& AddVerb(CLI::App& app, Session& session, const std::string& name,
                  const std::string& summary, const std::string& details);

// `run` is called as run(options, terminal); the options live as long as the verb.
template <class Options>
void SetAction(CLI::App& verb, Session& session, const std::shared_ptr<Options>& options,
               Result<Outcome> (*run)(const Options&, Terminal&)) {
  verb.callback([&session, options, run] {
    session.action = [&session, options, run] { return run(*options, session.terminal); };
  });
}

// A command line without the program's name, run within another one, on its terminal.
Result<Outcome> RunNested(const std::vector<std::string>& arguments, Terminal& terminal);

// Prints the error, unless another process of the job has told of its own; returns the exit code.
int TellFailure(Session& session, const Error& error);

// The whole program between main's precautions: parses, runs, prints; returns the exit code.
int RunProgram(int argc, const char* const* argv, Session& session);

}  // namespace tessera::cli
