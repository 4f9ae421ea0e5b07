#include <algorithm>
#include <map>
#include <tuple>

#include "convert/engines/rules.h"
#include "convert/engines/tp_rule.h"

namespace tessera {
namespace {

// How config.json says that a module is stored when the list does not except it; kUnknown where we
// do not know the method.
Storage Expected(const Judgement& j, const EngineModule& module) {
  const QuantClaim& claim = j.claim;
  if (claim.Is("fp8")) return claim.block.empty() ? Storage::kFp8Tensor : Storage::kFp8Block;
  if (claim.Is("awq")) return Storage::kAwq;
  if (claim.Is("gptq")) return Storage::kGptq;
  if (claim.Is("blockwise_int8")) return Storage::kInt8Block;
  if (claim.Is("w8a8_int8")) return Storage::kInt8Channel;
  if (claim.Is("w4afp8") || claim.Is("MIXED_PRECISION")) {
    return module.set == kRoutedExperts ? Storage::kInt4Bytes : Storage::kFp8Block;
  }
  if (!claim.Is("compressed-tensors")) return Storage::kUnknown;
  const GroupClaim* group = claim.GroupFor(module.parts);
  if (group == nullptr) return Storage::kFloat;
  const std::string& format = group->format.empty() ? claim.format : group->format;
  if (format == "pack-quantized") return Storage::kPacked;
  if (format == "int-quantized") return Storage::kInt8Channel;
  if (format != "float-quantized") return Storage::kUnknown;
  return group->strategy == "channel"  ? Storage::kFp8Channel
         : group->strategy == "tensor" ? Storage::kFp8Tensor
                                       : Storage::kFp8Block;
}

// Modules that break one rule in one way, told once.
struct Offence {
  uint64_t modules = 0;
  std::string tensor, module, detail;
};
// Rule, class of modules, whether of the MTP module.
using OffenceKey = std::tuple<std::string_view, ModuleSet, bool>;

class CoverageWalk {
 public:
  CoverageWalk(Judgement& j, const CoverageCheck& check) : j_(j), check_(check) {}

  void Run() {
    Result<NameList> list = NameList::Parse(check_.list, check_.kind);
    if (!list) return Unreadable(list.error());
    std::vector<std::string> rewritten = check_.list;
    if (check_.rewrites_mtp) {
      for (std::string& entry : rewritten) Rewrite(entry);
    }
    Result<NameList> mtp_list = NameList::Parse(rewritten, check_.kind);
    if (!mtp_list) return Unreadable(mtp_list.error());
    for (const EngineModule& module : ModulesAsked(j_.spec, check_.names)) {
      Visit(module, j_.spec.IsMtpLayer(module.layer) ? *mtp_list : *list);
    }
    for (const auto& [key, offence] : offences_) Report(key, offence);
  }

 private:
  // The only layer that SGLang rewrites, whatever the model's number is.
  static void Rewrite(std::string& entry) {
    constexpr std::string_view kFrom = "model.layers.61", kTo = "model.decoder";
    for (size_t at = entry.find(kFrom); at != std::string::npos; at = entry.find(kFrom, at)) {
      entry.replace(at, kFrom.size(), kTo);
    }
  }

  void Unreadable(const Error& error) {
    j_.Fatal("pattern", "", error.what() + ": " + error.facts()[0].second,
             "spell it with plain names");
  }

  void Visit(const EngineModule& module, const NameList& list) {
    const Storage first = j_.stored.StorageOf(module.parts[0]);
    for (const std::string& part : module.parts) {
      const Storage storage = j_.stored.StorageOf(part);
      if (storage == Storage::kAbsent) return;  // told as missing-tensor, or an absent MTP module
      if (storage != first) {
        return AddMixed(module, part, std::string(Name(first)), std::string(Name(storage)));
      }
    }
    if (VisitGeometry(module)) return;
    if (!check_.compares) return;
    const bool detects = check_.detects_linears && module.set != kRoutedExperts;
    Result<bool> unquantized = first == Storage::kFloat;
    if (!detects) unquantized = IsUnquantized(check_.rule, module, list);
    if (!unquantized) {
      return Add("list-splits-fused", module, module.parts[0], unquantized.error().what());
    }
    if (check_.needs_target && !*unquantized && module.set != kRoutedExperts &&
        j_.claim.GroupFor(module.parts) == nullptr && j_.claim.GroupFor({module.name}) == nullptr) {
      return Add("untargeted", module, module.parts[0],
                 "is neither hit by a target nor in the list, which ends in a ValueError");
    }
    Compare(module, first, *unquantized);
  }

  // Whether parts differ in bits, groups or zero points.
  bool VisitGeometry(const EngineModule& module) {
    const std::string first = GeometryOf(j_, *j_.stored.Find(module.parts[0]));
    for (const std::string& part : module.parts) {
      const std::string its = GeometryOf(j_, *j_.stored.Find(part));
      if (its == first || its.empty() || first.empty()) continue;
      AddMixed(module, part, first, its);
      return true;
    }
    return false;
  }

  void AddMixed(const EngineModule& module, const std::string& part, const std::string& a,
                const std::string& b) {
    const bool experts = module.set == kRoutedExperts;
    Add(experts ? "experts-differ" : "fused-differ", module, part,
        "is stored as " + b + " where " + module.parts[0] + " is " + a +
            ", and the engine puts them into one weight");
  }

  void Compare(const EngineModule& module, Storage stored, bool unquantized) {
    const Storage expected = unquantized ? Storage::kFloat : Expected(j_, module);
    if (expected == Storage::kUnknown || stored == expected) return;
    if (unquantized) {
      return Add(
          "list-hits-quantized", module, module.parts[0],
          "is taken for unquantized by the list, but stored as " + std::string(Name(stored)));
    }
    if (stored == Storage::kFloat) {
      return Add("list-misses-unquantized", module, module.parts[0],
                 "is unquantized, but the engine asks for it as " + module.name +
                     ", which the list does not name");
    }
    Add("stored-otherwise", module, module.parts[0],
        "is " + std::string(Name(stored)) + ", config.json says " + std::string(Name(expected)));
  }

  void Add(std::string_view rule, const EngineModule& module, const std::string& part,
           std::string detail) {
    Offence& offence = offences_[{rule, module.set, j_.spec.IsMtpLayer(module.layer)}];
    if (offence.modules++ > 0) return;
    const StoredModule* stored = j_.stored.Find(part);
    offence.tensor = stored == nullptr ? part : stored->main().info.name();
    offence.module = module.name;
    offence.detail = std::move(detail);
  }

  std::string Remedy(std::string_view rule, const std::string& module) const {
    if (rule == "list-misses-unquantized") {
      return "add it to the list, as " + QuoteJson(module) + " or a pattern that matches it";
    }
    if (rule == "list-hits-quantized") return "narrow the entry that matches " + module;
    if (rule == "untargeted") return "add it to the list, or to the targets";
    if (rule == "list-splits-fused") return "list all parts or none";
    return "quantize again: tessera quantize --for " + std::string(j_.engine.name);
  }

  void Report(const OffenceKey& key, const Offence& offence) {
    const auto& [rule, set, mtp] = key;
    std::string what = offence.module + " " + offence.detail;
    if (offence.modules > 1) {
      what += "; " + std::to_string(offence.modules - 1) + " more like it (" + NamesOf(set) + ")";
    }
    if (mtp) {
      j_.Warn(rule, offence.tensor, what + "; the MTP module does not load",
              Remedy(rule, offence.module));
    } else {
      j_.Fatal(rule, offence.tensor, std::move(what), Remedy(rule, offence.module));
    }
  }

  Judgement& j_;
  const CoverageCheck& check_;
  std::map<OffenceKey, Offence> offences_;
};

bool IsNeverQuantized(const TensorRole& role) {
  switch (role.module) {
    case Module::kEmbedTokens:
    case Module::kLmHead:
    case Module::kRouter:
    case Module::kMtpEmbedTokens:
    case Module::kMtpEhProj:
    case Module::kMtpHead:
      return true;
    default:
      return false;
  }
}

}  // namespace

void CheckCoverage(Judgement& j, const CoverageCheck& check) { CoverageWalk(j, check).Run(); }

void CheckNeverQuantized(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    const auto role = j.spec.Parse(module.name + ".weight");
    if (!role || !IsNeverQuantized(*role)) continue;
    if (module.storage == Storage::kFloat || module.storage == Storage::kUnknown) continue;
    const bool mtp = j.spec.IsMtp(*role);
    const std::string what = module.name + " is " + std::string(Name(module.storage)) +
                             "; engines have a plain weight there and no place for codes";
    const std::string remedy =
        "quantize again with it as it was: tessera quantize never touches it";
    if (mtp) {
      j.Warn("never-quantized", module.main().info.name(), what, remedy);
    } else {
      j.Fatal("never-quantized", module.main().info.name(), what, remedy);
    }
  }
}

void WarnOfRouterBias(Judgement& j) {
  constexpr Family kInF32[] = {Family::kV3, Family::kV31, Family::kV32};
  if (std::ranges::find(kInF32, j.spec.family()) == std::end(kInF32)) return;
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* bias = module.Find("e_score_correction_bias");
    if (bias == nullptr || bias->info.dtype() == Dtype::kF32) continue;
    return j.Warn("router-bias", bias->info.name(),
                  "the router's bias is " + std::string(Name(bias->info.dtype())) +
                      ", in the release F32: rounded, it sends tokens to other experts",
                  "take the biases of the original: tessera cast leaves them as they are");
  }
}

void RefuseKvBStoredAs(Judgement& j, Storage storage) {
  const StoredModule* module = FirstStoredAs(j, kKvB, storage);
  if (module == nullptr) return;
  j.Fatal("kv-b-refused", module->main().info.name(),
          module->name + " is " + std::string(Name(storage)) +
              ": the engine takes it apart by heads, and reads it as floats",
          "leave kv_b_proj unquantized: tessera quantize does");
}

void CheckJoinedBlocks(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    const auto role = j.spec.Parse(module.name + ".weight");
    if (!role || role->module != Module::kQA || j.spec.IsMtp(*role)) continue;
    if (module.storage != Storage::kFp8Block && module.storage != Storage::kInt8Block) continue;
    const std::optional<Shape> shape = j.ShapeOf(module.name);
    if (!shape || (*shape)[0] % 128 == 0) continue;
    return j.Fatal("block-joined", module.main().info.name(),
                   "q_a_proj has " + std::to_string((*shape)[0]) +
                       " rows, which 128 does not divide: kv_a_proj_with_mqa is put behind it, "
                       "where its scales would be for other rows",
                   "leave the a-projections unquantized");
  }
}

void CheckIndexer(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    const auto role = j.spec.Parse(module.name + ".weight");
    if (!role) continue;
    const bool wk = role->module == Module::kIndexerWk;
    if (!wk && role->module != Module::kIndexerWeightsProj) continue;
    if (module.storage == Storage::kFloat || (wk && module.storage == Storage::kFp8Block)) continue;
    return j.Fatal("indexer-quantized", module.main().info.name(),
                   module.name + " is " + std::string(Name(module.storage)) +
                       "; wk and weights_proj become one BF16 weight, for which wk may be block "
                       "FP8 and nothing else",
                   "keep the indexer as it was: tessera quantize does");
  }
}

ModuleSet SetsStoredAs(const Judgement& j, Storage storage) {
  ModuleSet sets = 0;
  for (const StoredModule& module : j.stored.all()) {
    if (module.storage != storage) continue;
    const auto role = j.spec.Parse(module.name + ".weight");
    if (role && !j.spec.IsMtp(*role)) sets |= SetOf(*role);
  }
  return sets;
}

const StoredModule* FirstStoredAs(const Judgement& j, ModuleSet sets, Storage storage) {
  for (const StoredModule& module : j.stored.all()) {
    if (module.storage != storage) continue;
    const auto role = j.spec.Parse(module.name + ".weight");
    if (role && !j.spec.IsMtp(*role) && (SetOf(*role) & sets) != 0) return &module;
  }
  return nullptr;
}

void CheckTpDegree(Judgement& j) {
  CutUnits units;
  const auto raise = [](uint64_t& unit, uint64_t to) { unit = std::max(unit, to); };
  for (const StoredModule& module : j.stored.all()) {
    const auto role = j.spec.Parse(module.name + ".weight");
    const ModuleSet set = role ? SetOf(*role) : ModuleSet{0};
    // kv_a and q_a are not cut.
    if (set == 0 || set == kAProjections) continue;
    uint64_t rows = 1, columns = 1;
    if (module.storage == Storage::kFp8Block || module.storage == Storage::kInt8Block) {
      rows = columns = 128;
    } else if (module.storage == Storage::kPacked || module.storage == Storage::kAwq ||
               module.storage == Storage::kGptq || module.storage == Storage::kInt4Bytes) {
      columns = std::max<uint64_t>(j.GroupOf(module), 1);
    }
    raise(set == kRoutedExperts ? units.expert_rows : units.rows, rows);
    raise(set == kRoutedExperts ? units.expert_columns : units.columns, columns);
  }
  for (const TpFault& fault : FindTpFaults(j.spec, units, j.options.tp)) {
    j.Fatal("tp-degree", "", fault.module + ": " + fault.what,
            "--tp " + WorkingDegrees(j.spec, units) + ", or expert parallelism for the experts");
  }
}

}  // namespace tessera
