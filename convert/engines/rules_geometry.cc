// The shapes of what quantized weights are made of: against the model's, and bits, groups and zero
// points of packed integers against what config.json says.
#include <algorithm>
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

// Modules that break one rule, those of the MTP module apart, each told once.
class Offences {
 public:
  void Add(bool mtp, std::string tensor, std::string what) {
    Offence& its = offences_[mtp ? 1 : 0];
    if (its.modules++ == 0) its = {1, std::move(tensor), std::move(what)};
  }

  void Report(Judgement& j, std::string_view rule, const std::string& remedy) {
    for (Offence& its : offences_) {
      if (its.modules == 0) continue;
      if (its.modules > 1) its.what += "; " + std::to_string(its.modules - 1) + " more like it";
      if (&its == &offences_[0]) {
        j.Fatal(rule, its.tensor, its.what, remedy);
      } else {
        j.Warn(rule, its.tensor, its.what + "; the MTP module does not load", remedy);
      }
    }
  }

 private:
  struct Offence {
    uint64_t modules = 0;
    std::string tensor, what;
  };
  Offence offences_[2];
};

bool IsPackedInteger(const StoredModule& module) {
  return module.storage == Storage::kPacked || module.storage == Storage::kAwq ||
         module.storage == Storage::kGptq;
}

uint64_t CeilDiv(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

struct PartShape {
  std::string_view suffix;
  Shape shape;
};

// Blocks as the config has them, or as every release does.
Shape GridOf(const Judgement& j, uint64_t rows, uint64_t cols) {
  const auto& block = j.claim.block;
  const bool said = block.size() == 2 && block[0] > 0 && block[1] > 0;
  return {CeilDiv(rows, said ? static_cast<uint64_t>(block[0]) : 128),
          CeilDiv(cols, said ? static_cast<uint64_t>(block[1]) : 128)};
}

// What a weight [rows, cols] is made of when it is stored so. How many scales a row has, and how
// wide its codes are, is for CheckGeometry to judge.
std::vector<PartShape> PartsOf(const Judgement& j, const StoredModule& module, uint64_t rows,
                               uint64_t cols) {
  const uint64_t scales = module.ScalesPerRow();
  const TensorExtent& codes = module.main();
  const uint64_t bits = codes.info.bytes() * 8 / std::max<uint64_t>(rows * cols, 1);
  switch (module.storage) {
    case Storage::kPacked: {
      const uint64_t width = BitsOf(codes.info.dtype());
      return {{"weight_packed", {rows, CeilDiv(cols * bits, width)}},
              {"weight_scale", {rows, scales}},
              {"weight_zero_point", {CeilDiv(rows * bits, 32), scales}}};
    }
    case Storage::kAwq:
      return {{"qweight", {cols, CeilDiv(rows, 8)}},
              {"qzeros", {scales, CeilDiv(rows, 8)}},
              {"scales", {scales, rows}}};
    case Storage::kGptq:
      return {{"qweight", {CeilDiv(cols * bits, 32), rows}},
              {"qzeros", {scales, CeilDiv(rows * bits, 32)}},
              {"scales", {scales, rows}},
              {"g_idx", {cols}}};
    case Storage::kInt4Bytes:
      return {{"weight", {rows, cols / 2}}, {"weight_scale_inv", {rows, cols / 128}}};
    case Storage::kFp8Block:
    case Storage::kInt8Block:
      return {{"weight", {rows, cols}}, {"weight_scale_inv", GridOf(j, rows, cols)}};
    case Storage::kAbsent:
    case Storage::kNoScale:
    case Storage::kUnknown:
      return {};
    default:
      return {{"weight", {rows, cols}}};
  }
}

// Parts that no other says: without them the codes mean nothing.
std::vector<std::string_view> NeededBeside(Storage storage) {
  if (storage == Storage::kPacked) return {"weight_scale"};
  if (storage == Storage::kAwq || storage == Storage::kGptq) return {"scales", "qzeros"};
  return {};
}

bool MayHave(Storage storage, std::string_view scale) {
  switch (storage) {
    case Storage::kFloat:
    case Storage::kAwq:
    case Storage::kGptq:
      return false;
    case Storage::kPacked:
      return scale == "weight_scale";
    default:
      return true;
  }
}

class PartCheck {
 public:
  explicit PartCheck(Judgement& j) : j_(j) {}

  void Run() {
    for (const EngineModule& asked : ModulesAsked(j_.spec, {})) {
      const bool mtp = j_.spec.IsMtpLayer(asked.layer);
      for (const std::string& part : asked.parts) {
        const StoredModule* module = j_.stored.Find(part);
        const std::optional<Shape> shape = j_.ShapeOf(part);
        if (module != nullptr && shape && shape->size() == 2) Look(*module, *shape, mtp);
      }
    }
    missing_.Report(j_, "scale-missing", "check the download: tessera inspect --check");
    shapes_.Report(j_, "wrong-shape", "quantize again; other layouts than these do not load");
    left_over_.Report(j_, "scale-left-over",
                      "if they were cast with their scales, remove these; if not, start again from "
                      "the original: tessera cast and quantize apply them");
  }

 private:
  void Look(const StoredModule& module, const Shape& model, bool mtp) {
    for (const std::string_view suffix : NeededBeside(module.storage)) {
      if (module.Find(suffix) != nullptr) continue;
      missing_.Add(mtp, module.main().info.name(),
                   module.name + " has no " + std::string(suffix) + " beside its codes");
    }
    for (const PartShape& part : PartsOf(j_, module, model[0], model[1])) {
      const TensorExtent* tensor = module.Find(part.suffix);
      if (tensor == nullptr || tensor->info.shape() == part.shape) continue;
      // A scale a row, as a vector.
      if (part.shape == Shape{model[0], 1} && tensor->info.shape() == Shape{model[0]}) continue;
      shapes_.Add(mtp, tensor->info.name(),
                  tensor->info.name() + " is " + ToString(tensor->info.shape()) + ", and " +
                      std::string(Name(module.storage)) + " codes of a weight " + ToString(model) +
                      " need " + ToString(part.shape));
      break;
    }
    for (const char* scale : {"weight_scale_inv", "weight_scale"}) {
      const TensorExtent* tensor = module.Find(scale);
      if (tensor == nullptr || MayHave(module.storage, scale)) continue;
      left_over_.Add(mtp, tensor->info.name(),
                     module.name + " is " + std::string(Name(module.storage)) +
                         " and still has a " + scale +
                         ": its FP8 codes may have been taken for values without it");
    }
  }

  Judgement& j_;
  Offences missing_, shapes_, left_over_;
};

// The row of the engine's table that such weights belong to.
std::string_view SchemeOf(const StoredModule& module, const Geometry& geometry) {
  const bool eight = geometry.bits == 8;
  if (module.storage == Storage::kAwq) return "awq";
  if (module.storage == Storage::kGptq) return eight ? "gptq8" : "gptq4";
  return eight ? "w8a16" : geometry.zero_points ? "w4a16-asym" : "w4a16";
}

}  // namespace

void CheckComplete(Judgement& j) {
  // Names that are unknown here count too, and are passed over below.
  constexpr size_t kMaxFaults = size_t{1} << 17;
  Offences missing, shapes;
  for (const Error& fault : CheckCompleteness(j.spec, j.checkpoint, kMaxFaults).faults) {
    const auto role = j.spec.Parse(fault.tensor());
    // Engines pass over names that they do not know; those of other formats are unknown here too.
    if (!role) continue;
    const bool mtp = j.spec.IsMtp(*role);
    if (fault.code() == ErrorCode::kMissingTensor) {
      const std::string layer = "model.layers." + std::to_string(role->layer);
      // Told as mtp-missing.
      if (mtp && j.stored.StorageOf(layer + ".eh_proj") == Storage::kAbsent) continue;
      missing.Add(mtp, fault.tensor(), fault.what());
    } else if (SetOf(*role) == 0) {
      shapes.Add(mtp, fault.tensor(), fault.what() + ": config.json asks for another");
    }
  }
  missing.Report(j, "missing-tensor",
                 "complete the download, and check that config.json belongs to these files");
  shapes.Report(j, "wrong-shape", "check that config.json belongs to these files");
}

void CheckParts(Judgement& j) {
  if (j.checkpoint.ranks() == 0) PartCheck(j).Run();
}

std::string GeometryOf(const Judgement& j, const StoredModule& module) {
  const std::optional<Shape> shape = j.ShapeOf(module.name);
  if (!IsPackedInteger(module) || !shape || shape->size() != 2) return "";
  const std::optional<Geometry> claimed = Claimed(j, module, (*shape)[1]);
  const Geometry stored = Stored(j, module, *shape);
  if (!claimed) return "";
  // One scale a row may be a group as wide as the row.
  return Described(Agree(*claimed, stored) ? *claimed : stored);
}

void CheckGeometry(Judgement& j) {
  Offences offences;
  for (const EngineModule& asked : ModulesAsked(j.spec, {})) {
    for (const std::string& part : asked.parts) {
      const StoredModule* module = j.stored.Find(part);
      if (module == nullptr || !IsPackedInteger(*module)) continue;
      const std::optional<Shape> shape = j.ShapeOf(part);
      if (!shape || shape->size() != 2) continue;
      const auto claimed = Claimed(j, *module, (*shape)[1]);
      const Geometry stored = Stored(j, *module, *shape);
      if (!claimed || Agree(*claimed, stored)) continue;
      offences.Add(j.spec.IsMtpLayer(asked.layer), module->main().info.name(),
                   part + " is stored with " + Described(stored) + ", config.json says " +
                       Described(*claimed));
    }
  }
  offences.Report(j, "stored-otherwise", "write what they are into config.json, or quantize again");
}

void WarnOfGroupSize(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    const std::optional<Shape> shape = j.ShapeOf(module.name);
    if (!IsPackedInteger(module) || !shape || shape->size() != 2) continue;
    if (!Claimed(j, module, (*shape)[1])) continue;
    const Geometry stored = Stored(j, module, *shape);
    const SchemeRule* rule = j.engine.FindScheme(SchemeOf(module, stored));
    if (rule == nullptr || !rule->loads || rule->Takes(stored.group)) continue;
    return j.Warn("group-size", module.main().info.name(),
                  module.name + " has " + Described(stored) +
                      "; kernels of this engine are known for: " + std::string(rule->groups),
                  "quantize again in groups of 128, 64 or 32");
  }
}

}  // namespace tessera
