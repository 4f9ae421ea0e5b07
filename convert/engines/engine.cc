#include "convert/engines/engine.h"

#include <algorithm>

#include "convert/engines/tp_rule.h"
#include "quant/registry.h"

namespace tessera {
namespace {

constexpr const EngineProfile* kEngines[] = {
    &kVllm,         &kSglang,     &kLmdeploy,     &kTensorRtLlm,  &kLightLlm,     &kAmd,
    &kAscendMindIe, &kVllmAscend, &kDeepSeekDemo, &kTransformers, &kKTransformers};

bool HasWord(std::string_view list, std::string_view word) {
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

std::string GroupName(uint64_t group) { return group == 0 ? "channel" : std::to_string(group); }

// The scheme's other geometries that the engine takes.
std::string OthersTaken(const SchemeRule& rule) {
  std::string names;
  for (const SchemeRow& row : Schemes()) {
    if (row.repacks || row.engine_name != rule.scheme || !rule.Takes(row.group)) continue;
    names.append(names.empty() ? "" : ", ").append(row.name);
  }
  return names;
}

Error Refusal(const EngineProfile& engine, const SchemeChoice& choice, std::string found) {
  return Error(ErrorCode::kUnsupported, std::string(engine.name) + " does not load " +
                                            std::string(choice.scheme) + " in this form")
      .Found(std::move(found));
}

Result<void> CheckCut(const EngineProfile& engine, const SchemeChoice& choice) {
  if (engine.loads_ranks == (choice.ranks != 0)) return {};
  return Fail(Error(ErrorCode::kUnsupported,
                    std::string(engine.name) + " does not load " +
                        (choice.ranks == 0 ? "files that are not cut" : "files cut for ranks"))
                  .Expected(engine.loads_ranks ? "files cut for ranks" : "whole weights")
                  .Found(choice.ranks == 0 ? "whole weights"
                                           : "files for " + std::to_string(choice.ranks) + " ranks")
                  .Next(std::string("nearest that loads: the same ") +
                        (engine.loads_ranks ? "with --mp N" : "without --mp")));
}

Result<void> CheckModules(const EngineProfile& engine, const SchemeRule& rule,
                          const SchemeChoice& choice) {
  if (const ModuleSet over = choice.modules & ~rule.may; over != 0) {
    return Fail(Refusal(engine, choice, "quantized " + NamesOf(over))
                    .Expected("unquantized there: " + std::string(rule.reason))
                    .Next("nearest that loads: " + NamesOf(choice.modules & rule.may)));
  }
  if (const ModuleSet partly = rule.must & choice.in_part; partly != 0) {
    return Fail(Refusal(engine, choice, NamesOf(partly) + " that --ignore leaves out")
                    .Expected("all of them quantized: " + std::string(rule.reason))
                    .Next("nearest that loads: the same without that --ignore"));
  }
  if (const ModuleSet lacking = rule.must & ~choice.modules; lacking != 0) {
    return Fail(Refusal(engine, choice, "unquantized " + NamesOf(lacking))
                    .Expected("quantized there: " + std::string(rule.reason))
                    .Next("nearest that loads: " + NamesOf(choice.modules | rule.must)));
  }
  if (rule.mtp == MtpRule::kQuantized && choice.mtp == MtpWeights::kFloat) {
    return Fail(Refusal(engine, choice, "an unquantized MTP module")
                    .Expected("its experts quantized like the others: the list of unquantized "
                              "modules does not reach experts there")
                    .Next("nearest that loads: MTP experts quantized too, or --mtp drop"));
  }
  return {};
}

}  // namespace

bool SchemeRule::Takes(uint64_t group) const {
  return groups.empty() || HasWord(groups, GroupName(group));
}

const SchemeRule* EngineProfile::FindScheme(std::string_view scheme) const {
  const auto rule = std::ranges::find(schemes, scheme, &SchemeRule::scheme);
  return rule == schemes.end() ? nullptr : &*rule;
}

Result<void> EngineProfile::Accepts(const ModelSpec& spec, const SchemeChoice& choice) const {
  if (std::ranges::find(families, spec.family()) == families.end()) {
    return Fail(Error(ErrorCode::kUnsupported, std::string(name) + " does not load this model")
                    .Expected("one of " + FamiliesOf(*this))
                    .Found(std::string(Name(spec.family()))));
  }
  const SchemeRule* rule = FindScheme(choice.scheme);
  if (rule == nullptr || !rule->loads) {
    const std::string_view reason = rule == nullptr ? other_reason : rule->reason;
    const std::string_view nearest = rule == nullptr ? other_nearest : rule->nearest;
    return Fail(Error(ErrorCode::kUnsupported,
                      std::string(name) + " does not load " + std::string(choice.scheme))
                    .Found(std::string(reason))
                    .Next("nearest that loads: " + std::string(nearest)));
  }
  if (!rule->Takes(choice.group)) {
    return Fail(Refusal(*this, choice, "group " + GroupName(choice.group))
                    .Expected("one of: " + std::string(rule->groups))
                    .Next("nearest that loads: " + OthersTaken(*rule)));
  }
  TESSERA_TRY(CheckCut(*this, choice));
  TESSERA_TRY(CheckModules(*this, *rule, choice));
  if (rule->bf16_scales && choice.scale != Dtype::kBF16) {
    return Fail(Refusal(*this, choice, std::string(Name(choice.scale)) + " scales")
                    .Expected("BF16 scales")
                    .Next("nearest that loads: w4a16"));
  }
  if (choice.negative_scales && negative_scales.empty()) {
    return Fail(Refusal(*this, choice, "--search mse-signed")
                    .Expected("evidence that negative scales compute right there; none is known")
                    .Next("nearest that loads: --search mse"));
  }
  return CheckTp(spec, choice.scheme, choice.group, choice.tp);
}

ModuleSet EngineProfile::Limit(std::string_view scheme, ModuleSet wanted) const {
  const SchemeRule* rule = FindScheme(scheme);
  if (rule == nullptr) return wanted;
  return static_cast<ModuleSet>((wanted & rule->may) | rule->must);
}

std::vector<std::string> EngineProfile::LaunchFlags(const ModelSpec& spec,
                                                    const SchemeChoice& choice) const {
  std::vector<std::string> flags;
  const SchemeRule* rule = FindScheme(choice.scheme);
  if (rule != nullptr && !rule->flags.empty()) flags.emplace_back(rule->flags);
  // Of INT4 experts beside FP8 it knows by itself.
  const bool known = choice.scheme == "w4afp8" || choice.scheme == "trtllm-w4a8";
  const bool differs =
      !known && (choice.modules & kRoutedExperts) != 0 && (choice.modules & kSharedExperts) == 0;
  if (fuses_shared_expert && differs && spec.n_routed_experts == 256 &&
      spec.n_shared_experts == 1) {
    flags.emplace_back("--disable-shared-experts-fusion");
  }
  return flags;
}

std::string FamiliesOf(const EngineProfile& engine) {
  std::string names;
  for (const Family family : engine.families) {
    names.append(names.empty() ? "" : ", ").append(Name(family));
  }
  return names;
}

std::span<const EngineProfile* const> Engines() { return kEngines; }

Result<const EngineProfile*> FindEngine(std::string_view name) {
  const auto engine = std::ranges::find(kEngines, name, &EngineProfile::name);
  if (engine != std::end(kEngines)) return *engine;
  std::string known;
  for (const EngineProfile* e : kEngines)
    known += (known.empty() ? "" : ", ") + std::string(e->name);
  return Fail(Error(ErrorCode::kUsage, "there is no engine of this name")
                  .Expected("one of " + known)
                  .Found(std::string(name)));
}

std::vector<std::string_view> EnginesThatLoad(const ModelSpec& spec, const SchemeChoice& choice) {
  std::vector<std::string_view> names;
  for (const EngineProfile* engine : kEngines) {
    if (engine->Accepts(spec, choice)) names.push_back(engine->name);
  }
  return names;
}

Result<void> CheckTp(const ModelSpec& spec, std::string_view scheme, uint64_t group, int tp) {
  const std::vector<TpFault> faults = FindTpFaults(spec, CutOf(scheme, group), tp);
  if (faults.empty()) return {};
  return Fail(Error(ErrorCode::kUnsupported,
                    "the weights cannot be cut for tensor parallelism of " + std::to_string(tp))
                  .Found(faults[0].what)
                  .Next("degrees that work: " + WorkingDegrees(spec, CutOf(scheme, group)) +
                        "; or expert parallelism, which does not cut experts"));
}

}  // namespace tessera
