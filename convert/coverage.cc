#include "convert/coverage.h"

namespace tessera {

bool IsFp8Linear(const TensorRole& role) {
  if (role.part != Part::kWeight) return false;
  switch (role.module) {
    case Module::kQ:
    case Module::kQA:
    case Module::kQB:
    case Module::kKvA:
    case Module::kKvB:
    case Module::kO:
    case Module::kIndexerWqB:
    case Module::kIndexerWk:
    case Module::kGateProj:
    case Module::kUpProj:
    case Module::kDownProj:
      return true;
    default:
      return false;
  }
}

}  // namespace tessera
