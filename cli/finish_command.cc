#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "formats/file.h"
#include "formats/manifest.h"
#include "formats/shard_name.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxCommandBytes = uint64_t{16} << 20;

struct FinishOptions {
  fs::path out;
};

// Where work on it is staged: of a folder within itself, of a file beside itself.
std::array<fs::path, 2> StagingOf(const fs::path& out) {
  return {out / ".partial", fs::path(out.string() + ".partial")};
}

// What a part recorded of its command line; empty if no part was made here.
fs::path FindCommand(const fs::path& out) {
  for (const fs::path& staging : StagingOf(out)) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(staging, error)) {
      if (entry.path().extension() == ".command") return entry.path();
    }
  }
  return {};
}

std::unexpected<Error> NoCommand(const fs::path& path, const std::string& found) {
  return Fail(Error(ErrorCode::kDamagedJournal, "the recorded command cannot be read")
                  .In(path.string())
                  .Found(found)
                  .Next("give the command itself again, without --part"));
}

// The last part completes the output by itself: whoever comes after it has nothing left to do.
Outcome ReportFinished(const fs::path& out, Terminal& terminal) {
  if (terminal.json) {
    terminal.PrintJson({{"finished", true}});
  } else {
    terminal.Print(out.string() + " is finished already; check it with: tessera verify OUT\n");
  }
  return Outcome::kDone;
}

Result<Outcome> RunFinish(const FinishOptions& options, Terminal& terminal) {
  std::error_code error;
  const fs::path out = fs::absolute(options.out, error);
  const fs::path path = FindCommand(out);
  if (path.empty()) {
    const bool complete =
        fs::exists(out / kManifestName, error) || fs::exists(out.string() + ".tessera.json", error);
    const bool tidy = std::ranges::none_of(
        StagingOf(out), [&](const fs::path& staging) { return fs::exists(staging, error); });
    if (complete && tidy) return ReportFinished(out, terminal);
    return Fail(
        Error(ErrorCode::kOutputConflict, "there is nothing to finish here")
            .In(out.string())
            .Expected("the work of runs with --part")
            .Found(complete ? "a finished output, and what a run killed at its end left" : "none")
            .Next(complete ? "run any part again: it removes what was left" : ""));
  }
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(path, kMaxCommandBytes));
  const SortedJson record = SortedJson::parse(text, nullptr, false);
  const bool whole = record.is_object() && record.contains("arguments") &&
                     record["arguments"].is_array() && record.contains("folder") &&
                     record["folder"].is_string();
  if (!whole) return NoCommand(path, "no arguments and folder");
  std::vector<std::string> arguments;
  for (const SortedJson& argument : record["arguments"]) {
    if (!argument.is_string()) return NoCommand(path, "an argument that is no string");
    arguments.push_back(argument);
  }
  // Its relative paths start there.
  fs::current_path(fs::path(record["folder"].get<std::string>()), error);
  if (error) return NoCommand(path, "its folder is not here: " + record["folder"].dump());
  arguments.push_back(kSealOption);
  arguments.push_back(out.string());
  return RunNested(arguments, terminal);
}

}  // namespace

void AddFinish(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "finish", "Complete an output that was made in parts",
      "The last part of a run with --part completes the output by itself. This does it where that\n"
      "last run was cut short: it checks that all parts are done, names those that are not, and\n"
      "writes config, index and manifest.");
  auto options = std::make_shared<FinishOptions>();
  verb.add_option("OUT", options->out, "The folder that the parts wrote")->required();
  SetAction(verb, session, std::move(options), RunFinish);
}

}  // namespace tessera::cli
