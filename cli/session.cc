#include "cli/session.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "cli/commands.h"
#include "cli/rank_job.h"
#include "formats/version.h"
#include "quant/kernels/target.h"

namespace tessera::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 the tool worked and the answer is no; 2 usage; 3 input invalid, "
    "damaged\n"
    "or unsupported; 4 output (no space, read-only, I/O error); 5 another run holds OUT, or OUT\n"
    "belongs to another plan; 6 over the memory budget; 130, 143 interrupted; 70 internal error.";

// The verb on the command line, or the program itself.
CLI::App& Chosen(CLI::App& app) {
  const auto verbs = app.get_subcommands();
  return verbs.empty() ? app : *verbs.back();
}

// One screen: without the options of kMore and without the details.
std::string ShortHelp(CLI::App& app) {
  CLI::App& chosen = Chosen(app);
  for (CLI::Option* option : chosen.get_options()) {
    if (option->get_group() == kMore) option->group("");
  }
  chosen.footer(&chosen == &app ? app.get_name() + " COMMAND -h shows a command, --help all of it."
                                : "--help shows all options and details.");
  return app.help();
}

std::string CompleteHelp(CLI::App& app) { return app.help() + "\n" + kExitCodes + "\n"; }

// CLI11 says "The following argument was not expected: foo" whatever foo was meant to be.
std::string UsageText(const CLI::App& app, const CLI::ParseError& error, int argc,
                      const char* const* argv) {
  if (argc < 2) return "no command given";
  const std::string_view first = argv[1];
  const auto verbs = app.get_subcommands([](const CLI::App*) { return true; });
  const bool known =
      std::ranges::any_of(verbs, [&](const CLI::App* verb) { return verb->get_name() == first; });
  if (!first.starts_with('-') && !known) return "unknown command: " + std::string(first);
  return error.what();
}

bool IsToTell(const Session& session, ErrorClass error) {
  return session.job == nullptr || session.job->IsFirstFailure(static_cast<int>(error));
}

int FailUsage(CLI::App& app, Session& session, const std::string& text) {
  if (IsToTell(session, ErrorClass::kUsage)) {
    // Asked for, help is a result; as a scolding it goes where errors go, before them.
    session.terminal.PrintUsage(ShortHelp(app));
    session.terminal.PrintError(Error(ErrorCode::kUsage, text));
  }
  return static_cast<int>(ErrorClass::kUsage);
}

int Finish(Session& session, Result<Outcome> outcome) {
  const Result<void> flushed = session.terminal.Flush();
  if (outcome && !flushed) outcome = Fail(flushed.error());
  if (outcome) return static_cast<int>(*outcome);
  return TellFailure(session, outcome.error());
}

// TESSERA_SIMD=AVX2 runs the kernels on that target only: for tests, and for whoever doubts one.
Result<void> ApplyEnvironment() {
  const char* target = std::getenv("TESSERA_SIMD");
  return target == nullptr ? Result<void>() : ForceSimdTarget(target);
}

}  // namespace

CLI::App& AddVerb(CLI::App& app, Session& session, const std::string& name,
                  const std::string& summary, const std::string& details) {
  CLI::App& verb = *app.add_subcommand(name, summary);
  verb.footer(details);
  verb.add_flag("--json", session.terminal.json, "Print the result as one JSON object");
  verb.add_flag("-q,--quiet", session.terminal.quiet, "No progress, no notes");
  return verb;
}

Result<Outcome> RunNested(const std::vector<std::string>& arguments, Terminal& terminal) {
  Session session;
  session.terminal = terminal;
  session.arguments = arguments;
  CLI::App app("", "tessera");
  AddCommands(app, session);
  try {
    // CLI11 takes them from the end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return Fail(
        Error(ErrorCode::kUsage, "the recorded command is not understood").Found(error.what()));
  }
  session.terminal.json = terminal.json;
  session.terminal.quiet = terminal.quiet;
  Result<Outcome> outcome = session.action();
  terminal = session.terminal;
  return outcome;
}

int TellFailure(Session& session, const Error& error) {
  if (IsToTell(session, error.error_class())) session.terminal.PrintError(error);
  return static_cast<int>(error.error_class());
}

int RunProgram(int argc, const char* const* argv, Session& session) {
  CLI::App app("Offline toolkit for the weights of DeepSeek-V3-class models", session.program);
  app.set_help_flag("-h", "This help, on one screen");
  app.set_help_all_flag("--help", "All of it");
  app.set_version_flag("--version", session.program + " " + std::string(kVersion));
  app.require_subcommand(1);
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app.get_formatter()->label("Subcommands", "Commands");
  session.job == nullptr ? AddCommands(app, session) : AddSharedCommands(app, session);
  session.arguments.assign(argv + std::min(argc, 1), argv + argc);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    session.terminal.Print(ShortHelp(app));
    return Finish(session, Outcome::kDone);
  } catch (const CLI::CallForAllHelp&) {
    session.terminal.Print(CompleteHelp(app));
    return Finish(session, Outcome::kDone);
  } catch (const CLI::CallForVersion& version) {
    session.terminal.Print(std::string(version.what()) + "\n");
    return Finish(session, Outcome::kDone);
  } catch (const CLI::ParseError& error) {
    // The parser may have stopped before it came to --json.
    const auto arguments = std::span(argv, static_cast<size_t>(argc));
    session.terminal.json = std::ranges::any_of(
        arguments, [](std::string_view argument) { return argument == "--json"; });
    return FailUsage(app, session, UsageText(app, error, argc, argv));
  }
  if (Result<void> applied = ApplyEnvironment(); !applied) {
    return Finish(session, Fail(std::move(applied).error()));
  }
  return Finish(session, session.action());
}

}  // namespace tessera::cli
