#include <memory>
#include <string>

#include "cli/commands.h"
#include "convert/engines/engine.h"

namespace tessera::cli {
namespace {

struct EnginesOptions {
  std::string engine;  // "": all
};

SortedJson RuleJson(const SchemeRule& rule) {
  return {{"scheme", rule.scheme},      {"loads", rule.loads},    {"may", NamesOf(rule.may)},
          {"must", NamesOf(rule.must)}, {"groups", rule.groups},  {"flags", rule.flags},
          {"reason", rule.reason},      {"nearest", rule.nearest}};
}

SortedJson EngineJson(const EngineProfile& engine) {
  SortedJson families = SortedJson::array(), schemes = SortedJson::array();
  for (const Family family : engine.families) families.push_back(Name(family));
  for (const SchemeRule& rule : engine.schemes) schemes.push_back(RuleJson(rule));
  return {{"name", engine.name},
          {"version", engine.version},
          {"judged", engine.judged},
          {"families", std::move(families)},
          {"schemes", std::move(schemes)},
          {"other_schemes", {{"reason", engine.other_reason}, {"nearest", engine.other_nearest}}},
          {"negative_scales", !engine.negative_scales.empty()}};
}

std::string LoadedSchemes(const EngineProfile& engine) {
  std::string names;
  for (const SchemeRule& rule : engine.schemes) {
    if (!rule.loads) continue;
    if (!names.empty()) names += ' ';
    names += rule.scheme;
  }
  return names;
}

void PrintAll(Terminal& terminal) {
  std::vector<TableRow> rows;
  for (const EngineProfile* engine : Engines()) {
    rows.push_back(
        {std::string(engine->name), std::string(engine->version), LoadedSchemes(*engine)});
  }
  terminal.PrintTable({"engine", "version judged", "loads"}, rows,
                      {Align::kLeft, Align::kLeft, Align::kLeft});
}

void PrintOne(Terminal& terminal, const EngineProfile& engine) {
  terminal.Print(std::string(engine.name) + " " + std::string(engine.version) + "; known by: " +
                 std::string(engine.judged) + "\nmodels: " + FamiliesOf(engine) + "\n\n");
  std::vector<TableRow> rows;
  for (const SchemeRule& rule : engine.schemes) {
    rows.push_back({std::string(rule.scheme), rule.loads ? NamesOf(rule.may) : "refused",
                    std::string(rule.groups), std::string(rule.flags), std::string(rule.reason)});
  }
  terminal.PrintTable({"scheme", "modules", "groups", "flags", "note"}, rows,
                      {Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft});
  if (!engine.other_reason.empty()) {
    terminal.Print("\nany other: refused, " + std::string(engine.other_reason) + "\n");
  }
}

Result<Outcome> RunEngines(const EnginesOptions& options, Terminal& terminal) {
  const EngineProfile* only = nullptr;
  if (!options.engine.empty()) {
    TESSERA_ASSIGN(only, FindEngine(options.engine));
  }
  if (terminal.json) {
    SortedJson engines = SortedJson::array();
    for (const EngineProfile* engine : Engines()) {
      if (only == nullptr || only == engine) engines.push_back(EngineJson(*engine));
    }
    terminal.PrintJson({{"engines", std::move(engines)}});
  } else if (only != nullptr) {
    PrintOne(terminal, *only);
  } else {
    PrintAll(terminal);
  }
  return Outcome::kDone;
}

}  // namespace

void AddEngines(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(app, session, "engines", "Inference engines, and the schemes they load",
                           "docs/engines.md says how each is known. Whether one loads a\n"
                           "checkpoint: tessera inspect CKPT --for ENGINE.");
  auto options = std::make_shared<EnginesOptions>();
  verb.add_option("ENGINE", options->engine, "Only this one, with its reasons");
  SetAction(verb, session, options, RunEngines);
}

}  // namespace tessera::cli
