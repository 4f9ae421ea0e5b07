#include "formats/rank_cut.h"

namespace tessera {

Cut CutOf(const TensorRole& role) {
  switch (role.module) {
    case Module::kEmbedTokens:
    case Module::kLmHead:
    case Module::kMtpEmbedTokens:
    case Module::kMtpHead:
    case Module::kQ:
    case Module::kQB:
    case Module::kKvB:
      return Cut::kRows;
    case Module::kO:
      return Cut::kColumns;
    case Module::kGateProj:
    case Module::kUpProj:
      return role.mlp == Mlp::kRouted ? Cut::kOwned : Cut::kRows;
    case Module::kDownProj:
      return role.mlp == Mlp::kRouted ? Cut::kOwned : Cut::kColumns;
    default:
      return Cut::kReplicated;
  }
}

uint32_t OwnerOf(const TensorRole& role, uint32_t experts, uint32_t ranks) {
  TESSERA_CHECK(role.expert >= 0 && experts % ranks == 0);
  return static_cast<uint32_t>(role.expert) / (experts / ranks);
}

}  // namespace tessera
