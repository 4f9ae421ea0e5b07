#include "quant/module_set.h"

#include <string_view>

namespace tessera {
namespace {

struct SetName {
  ModuleSet modules;
  std::string_view name;
};
constexpr SetName kSetNames[] = {
    {kRoutedExperts, "routed experts"}, {kSharedExperts, "shared experts"},
    {kDenseMlp, "dense mlp"},           {kAProjections, "q_a_proj and kv_a_proj_with_mqa"},
    {kAttention, "attention"},          {kKvB, "kv_b_proj"},
};

}  // namespace

ModuleSet SetOf(const TensorRole& role) {
  switch (role.module) {
    case Module::kGateProj:
    case Module::kUpProj:
    case Module::kDownProj:
      return role.mlp == Mlp::kRouted   ? kRoutedExperts
             : role.mlp == Mlp::kShared ? kSharedExperts
                                        : kDenseMlp;
    case Module::kQA:
    case Module::kKvA:
      return kAProjections;
    case Module::kQ:
    case Module::kQB:
    case Module::kO:
    case Module::kIndexerWqB:
      return kAttention;
    case Module::kKvB:
      return kKvB;
    default:
      return 0;
  }
}

std::string NamesOf(ModuleSet modules) {
  if (modules == kAllLinears) return "all linears";
  if (modules == kAllButKvB) return "all linears but kv_b_proj";
  if (modules == kFp8Linears) return "all linears, indexer.wk";
  std::string names;
  for (const SetName& set : kSetNames) {
    if ((modules & set.modules) == 0) continue;
    if (!names.empty()) names += ", ";
    names += set.name;
  }
  return names.empty() ? "nothing" : names;
}

bool Contains(ModuleSet set, const TensorRole& role) {
  if (role.part != Part::kWeight) return false;
  if (role.module == Module::kIndexerWk) return (set & kIndexerWk) != 0;
  return (set & SetOf(role)) != 0;
}

}  // namespace tessera
