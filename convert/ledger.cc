#include "convert/ledger.h"

#include <algorithm>

namespace tessera {
namespace {

void Count(Action action, std::string_view rule, Ledger& ledger, std::vector<DropRule>& rules) {
  ++ledger[action];
  if (action != Action::kDropped) return;
  const auto known = std::ranges::find(rules, rule, &DropRule::rule);
  if (known != rules.end()) {
    ++known->tensors;
  } else {
    rules.push_back({std::string(rule), 1});
  }
}

}  // namespace

void CountFates(std::span<const Fate> fates, Plan& plan) {
  for (const Fate& fate : fates) {
    Count(fate.action, fate.rule, plan.ledger, plan.rules);
    for (uint32_t i = 0; i < plan.folders.size(); ++i) {
      PlanFolder& folder = plan.folders[i];
      const bool here = fate.folder == i;
      Count(here ? fate.action : Action::kDropped, here ? fate.rule : "split", folder.ledger,
            folder.rules);
    }
  }
}

}  // namespace tessera
