// Bits, groups and zero points: what config.json says of packed integers against their shapes.
#include <optional>

#include "convert/engines/rules.h"

namespace tessera {
namespace {

struct Geometry {
  std::optional<int64_t> bits = {};
  uint64_t scales_per_row = 0;
  uint64_t group = 0;  // columns a scale; 0: all
  bool zero_points = false;
};

std::string Described(const Geometry& g) {
  return (g.bits ? std::to_string(*g.bits) + " bits, " : "") +
         (g.group == 0 ? "a scale a row" : "groups of " + std::to_string(g.group)) +
         (g.zero_points ? ", with zero points" : "");
}

// What the config says of a module of `cols` columns; nullopt where it says nothing.
std::optional<Geometry> Claimed(const Judgement& j, const StoredModule& module, uint64_t cols) {
  Geometry claimed{.bits = j.claim.bits, .zero_points = module.storage == Storage::kAwq};
  std::optional<int64_t> group = j.claim.group_size;
  if (module.storage == Storage::kPacked) {
    const GroupClaim* its = j.claim.GroupFor({module.name});
    if (its == nullptr) return std::nullopt;
    claimed.bits = its->bits;
    claimed.zero_points = !its->symmetric;
    group = its->strategy == "channel" ? -1 : its->group_size;
  } else if (module.storage == Storage::kAwq) {
    claimed.zero_points = j.claim.zero_point.value_or(true);
  }
  if (!group) return std::nullopt;
  claimed.group = *group > 0 ? static_cast<uint64_t>(*group) : 0;
  // Writers differ about a last group that is not full.
  if (claimed.group != 0 && cols % claimed.group != 0) return std::nullopt;
  claimed.scales_per_row = claimed.group == 0 ? 1 : cols / claimed.group;
  return claimed;
}

Geometry Stored(const Judgement& j, const StoredModule& module, const Shape& model) {
  Geometry stored{.scales_per_row = module.ScalesPerRow(), .group = j.GroupOf(module)};
  // Rows that fill no last word do not tell.
  const uint64_t code_bits = module.main().info.bytes() * 8, values = model[0] * model[1];
  if (values > 0 && code_bits % values == 0) stored.bits = static_cast<int64_t>(code_bits / values);
  stored.zero_points = module.storage == Storage::kPacked
                           ? module.Find("weight_zero_point") != nullptr
                           : module.storage == Storage::kAwq && module.Find("qzeros") != nullptr;
  return stored;
}

bool Agree(const Geometry& claimed, const Geometry& stored) {
  return (!claimed.bits || !stored.bits || *claimed.bits == *stored.bits) &&
         claimed.scales_per_row == stored.scales_per_row &&
         claimed.zero_points == stored.zero_points;
}

struct Mismatch {
  uint64_t modules = 0;
  std::string tensor, what;
};

}  // namespace

void CheckGeometry(Judgement& j) {
  Mismatch mismatch[2];  // of the main model, of the MTP module
  for (const EngineModule& asked : ModulesAsked(j.spec, {})) {
    for (const std::string& part : asked.parts) {
      const StoredModule* module = j.stored.Find(part);
      if (module == nullptr ||
          (module->storage != Storage::kPacked && module->storage != Storage::kAwq &&
           module->storage != Storage::kGptq)) {
        continue;
      }
      const std::optional<Shape> shape = j.ShapeOf(part);
      if (!shape || shape->size() != 2) continue;
      const auto claimed = Claimed(j, *module, (*shape)[1]);
      const Geometry stored = Stored(j, *module, *shape);
      if (!claimed || Agree(*claimed, stored)) continue;
      Mismatch& its = mismatch[j.spec.IsMtpLayer(asked.layer) ? 1 : 0];
      if (its.modules++ > 0) continue;
      its.tensor = module->main().info.name();
      its.what = part + " is stored with " + Described(stored) + ", config.json says " +
                 Described(*claimed);
    }
  }
  for (Mismatch& its : mismatch) {
    if (its.modules == 0) continue;
    if (its.modules > 1) its.what += "; " + std::to_string(its.modules - 1) + " more like it";
    const std::string remedy = "write what they are into config.json, or quantize again";
    if (&its == &mismatch[0]) {
      j.Fatal("stored-otherwise", its.tensor, its.what, remedy);
    } else {
      j.Warn("stored-otherwise", its.tensor, its.what + "; the MTP module does not load", remedy);
    }
  }
}

}  // namespace tessera
