#include <memory>

#include "cli/commands.h"
#include "convert/engines/engine.h"
#include "quant/registry.h"

namespace tessera::cli {
namespace {

// For some model at least: `tessera engines ENGINE` says for which, and how.
std::vector<std::string_view> EnginesOf(const SchemeRow& row) {
  std::vector<std::string_view> names;
  for (const EngineProfile* engine : Engines()) {
    const SchemeRule* rule = engine->FindScheme(row.engine_name);
    if (rule != nullptr && rule->loads && rule->Takes(row.group)) names.push_back(engine->name);
  }
  return names;
}

struct SchemesOptions {};

Result<Outcome> RunSchemes(const SchemesOptions&, Terminal& terminal) {
  if (terminal.json) {
    SortedJson schemes = SortedJson::array();
    for (const SchemeRow& row : Schemes()) {
      schemes.push_back({{"name", row.name},
                         {"on_disk", row.on_disk},
                         {"engines", EnginesOf(row)},
                         {"modules", NamesOf(row.modules)},
                         {"rest", row.rest_stays_fp8 ? "fp8" : "bf16"},
                         {"needs_input_scale", row.needs_input_scale}});
    }
    terminal.PrintJson({{"schemes", std::move(schemes)}});
    return Outcome::kDone;
  }
  std::vector<TableRow> rows;
  for (const SchemeRow& row : Schemes()) {
    rows.push_back({std::string(row.name), NamesOf(row.modules),
                    row.rest_stays_fp8 ? "FP8" : "BF16", std::string(row.on_disk),
                    Joined(EnginesOf(row), " ")});
  }
  terminal.PrintTable({"scheme", "modules", "other linears", "on disk", "engines"}, rows,
                      std::vector<Align>(5, Align::kLeft));
  return Outcome::kDone;
}

}  // namespace

void AddSchemes(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(app, session, "schemes", "List the ways to requantize",
                           "A row a scheme: which modules it quantizes by default, what becomes of "
                           "the other linears,\n"
                           "and what is on disk. Which engines load it: tessera engines.");
  SetAction(verb, session, std::make_shared<SchemesOptions>(), RunSchemes);
}

}  // namespace tessera::cli
