#include "quant/module_set.h"

namespace tessera {

std::string_view Name(ModuleSet set) {
  switch (set) {
    case ModuleSet::kRoutedExperts:
      return "routed experts";
    case ModuleSet::kLinears:
      return "linears but kv_b_proj";
    case ModuleSet::kLinearsAndKvB:
      return "linears";
    case ModuleSet::kFp8Linears:
      return "linears and indexer";
  }
  return "";
}

bool Contains(ModuleSet set, const TensorRole& role) {
  if (role.part != Part::kWeight) return false;
  switch (role.module) {
    case Module::kGateProj:
    case Module::kUpProj:
    case Module::kDownProj:
      return set != ModuleSet::kRoutedExperts || role.mlp == Mlp::kRouted;
    case Module::kQ:
    case Module::kQA:
    case Module::kQB:
    case Module::kKvA:
    case Module::kO:
      return set != ModuleSet::kRoutedExperts;
    case Module::kKvB:
      return set == ModuleSet::kLinearsAndKvB || set == ModuleSet::kFp8Linears;
    case Module::kIndexerWqB:
    case Module::kIndexerWk:
      return set == ModuleSet::kFp8Linears;
    default:
      return false;
  }
}

}  // namespace tessera
