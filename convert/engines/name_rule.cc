#include "convert/engines/name_rule.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace tessera {
namespace {

using Entry = NameList::Entry;

bool MatchesPattern(const Entry& entry, std::string_view name) {
  return entry.pattern && entry.pattern->MatchesStart(name);
}

bool EqualOrRegex(const Entry& entry, std::string_view name) {
  return entry.pattern ? MatchesPattern(entry, name) : entry.text == name;
}

bool SuffixOrRegex(const Entry& entry, std::string_view name) {
  if (entry.pattern) return MatchesPattern(entry, name);
  return name == entry.text || name.ends_with("." + entry.text);
}

std::string Lowered(std::string_view text) {
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lowered;
}

bool SubstringOrRegex(const Entry& entry, std::string_view name) {
  if (entry.pattern) return MatchesPattern(entry, name);
  return Lowered(name).find(Lowered(entry.text)) != std::string::npos;
}

bool Substring(const Entry& entry, std::string_view name) {
  return name.find(entry.text) != std::string_view::npos;
}

bool Equal(const Entry& entry, std::string_view name) { return entry.text == name; }

// Whole components of a dotted path, wherever they stand in it.
bool DottedPath(const Entry& entry, std::string_view name) {
  std::string_view path = entry.text;
  while (path.ends_with('.')) path.remove_suffix(1);
  const std::string around = "." + std::string(name) + ".";
  return around.find("." + std::string(path) + ".") != std::string::npos;
}

enum class Fused : uint8_t {
  kOwnName,        // by the fused name, as if it were no other
  kNameOrParts,    // by the fused name; where that does not match, by its parts
  kListedOrParts,  // the same, but the fused name counts only where it is listed literally
  kParts,          // by its parts alone
};
enum class Experts : uint8_t {
  kFirstExpert,        // by the names of expert 0's projections
  kOwnName,            // by the module's name
  kInsideEntry,        // when it is part of an entry that speaks of experts
  kNameOrInsideEntry,  // either
  kNever,
};

struct RuleRow {
  NameRule rule;
  bool (*matches)(const Entry&, std::string_view);
  Fused a_projections, gate_up;
  Experts experts;
};
constexpr RuleRow kRules[] = {
    {NameRule::kCtVllm, EqualOrRegex, Fused::kNameOrParts, Fused::kNameOrParts,
     Experts::kFirstExpert},
    {NameRule::kCtSglang, SuffixOrRegex, Fused::kListedOrParts, Fused::kOwnName,
     Experts::kFirstExpert},
    {NameRule::kCtSglangSubstring, SubstringOrRegex, Fused::kListedOrParts, Fused::kOwnName,
     Experts::kFirstExpert},
    {NameRule::kCtPlain, EqualOrRegex, Fused::kParts, Fused::kParts, Experts::kFirstExpert},
    {NameRule::kInt8Sglang, SuffixOrRegex, Fused::kListedOrParts, Fused::kOwnName,
     Experts::kOwnName},
    {NameRule::kAwqVllm, Substring, Fused::kNameOrParts, Fused::kNameOrParts, Experts::kOwnName},
    {NameRule::kAwqSglang, Substring, Fused::kOwnName, Fused::kOwnName, Experts::kOwnName},
    {NameRule::kFp8Vllm, Equal, Fused::kNameOrParts, Fused::kNameOrParts, Experts::kInsideEntry},
    {NameRule::kFp8Sglang, DottedPath, Fused::kParts, Fused::kParts, Experts::kNameOrInsideEntry},
    {NameRule::kBlockInt8Sglang, DottedPath, Fused::kOwnName, Fused::kParts, Experts::kNever},
    {NameRule::kGptq, nullptr, Fused::kOwnName, Fused::kOwnName, Experts::kOwnName},
    {NameRule::kGptqSglang, nullptr, Fused::kOwnName, Fused::kOwnName, Experts::kNever},
};

bool AnyMatches(const RuleRow& row, const NameList& list, std::string_view name) {
  if (row.matches == nullptr) {
    // A GPTQ "dynamic": the first rule that matches decides.
    const auto first = std::ranges::find_if(
        list.entries(), [&](const Entry& entry) { return MatchesPattern(entry, name); });
    return first != list.entries().end() && first->excludes;
  }
  return std::ranges::any_of(list.entries(),
                             [&](const Entry& entry) { return row.matches(entry, name); });
}

Result<bool> AllAgree(const RuleRow& row, const NameList& list, const EngineModule& module,
                      size_t parts) {
  const bool first = AnyMatches(row, list, module.own_parts[0]);
  for (size_t i = 1; i < parts; ++i) {
    if (AnyMatches(row, list, module.own_parts[i]) == first) continue;
    return Fail(
        Error(ErrorCode::kUnsupported, "the list of unquantized modules names some parts of " +
                                           module.name + " and not others")
            .Of(module.parts[first ? i : 0])
            .Found((first ? "listed: " : "not listed: ") + module.parts[0] +
                   (first ? ", not listed: " : ", listed: ") + module.parts[i]));
  }
  return first;
}

bool IsInsideEntry(const NameList& list, const std::string& name) {
  return std::ranges::any_of(list.entries(), [&](const Entry& entry) {
    return entry.text.find("experts") != std::string::npos &&
           entry.text.find(name) != std::string::npos;
  });
}

Result<bool> AskExperts(const RuleRow& row, const EngineModule& module, const NameList& list) {
  switch (row.experts) {
    case Experts::kFirstExpert:
      return AllAgree(row, list, module, 3);
    case Experts::kOwnName:
      return AnyMatches(row, list, module.name);
    case Experts::kInsideEntry:
      return IsInsideEntry(list, module.name);
    case Experts::kNameOrInsideEntry:
      return AnyMatches(row, list, module.name) || IsInsideEntry(list, module.name);
    case Experts::kNever:
      break;
  }
  return false;
}

std::string LayerName(const ModelSpec& spec, const EngineNames& names, int32_t layer) {
  if (spec.IsMtpLayer(layer) && !names.mtp_layer.empty()) return std::string(names.mtp_layer);
  return "model.layers." + std::to_string(layer);
}

std::string ModuleName(const ModelSpec& spec, const TensorRole& role) {
  std::string name = spec.NameOf(role);
  return name.substr(0, name.rfind('.'));
}

// Gathers the parts of what an engine fuses; roles of a layer come in the model's order.
class Asking {
 public:
  Asking(const ModelSpec& spec, const EngineNames& names) : spec_(spec), names_(names) {}

  void Visit(const TensorRole& role) {
    const ModuleSet set = SetOf(role);
    if (set == 0 || role.part != Part::kWeight) return;
    const std::string part = ModuleName(spec_, role);
    const std::string layer = "model.layers." + std::to_string(role.layer);
    const std::string own = LayerName(spec_, names_, role.layer) + part.substr(layer.size());
    std::string_view fused;
    if (set == kAProjections && spec_.q_lora_rank != 0) fused = names_.a_projections;
    const bool gate_up = role.module == Module::kGateProj || role.module == Module::kUpProj;
    if (gate_up && set != kRoutedExperts) fused = names_.gate_up;
    std::string name = own;
    if (set == kRoutedExperts) {
      name = own.substr(0, own.find(".experts.") + 8);
    } else if (!fused.empty()) {
      name = own.substr(0, own.rfind('.') + 1) + std::string(fused);
    }
    const auto known = std::ranges::find(asked.rbegin(), asked.rend(), name, &EngineModule::name);
    if (known != asked.rend()) {
      known->parts.push_back(part);
      known->own_parts.push_back(own);
    } else {
      asked.push_back({std::move(name), set, role.layer, !fused.empty(), {part}, {own}});
    }
  }

  std::vector<EngineModule> asked;

 private:
  const ModelSpec& spec_;
  const EngineNames& names_;
};

}  // namespace

std::vector<EngineModule> ModulesAsked(const ModelSpec& spec, const EngineNames& names) {
  Asking asking(spec, names);
  spec.ForEach([&](const TensorRole& role) { asking.Visit(role); });
  return std::move(asking.asked);
}

Result<NameList> NameList::Parse(const std::vector<std::string>& entries, Kind kind) {
  NameList list;
  for (std::string_view text : entries) {
    Entry entry;
    bool is_pattern = kind == Kind::kGptqDynamic;
    if (is_pattern) {
      entry.excludes = text.starts_with("-:");
      if (entry.excludes || text.starts_with("+:")) text.remove_prefix(2);
    } else if (text.starts_with("re:")) {
      text.remove_prefix(3);
      is_pattern = true;
    }
    if (is_pattern) {
      TESSERA_ASSIGN(entry.pattern, Pattern::Compile(text));
    }
    entry.text = text;
    list.entries_.push_back(std::move(entry));
  }
  return list;
}

bool NameList::Contains(std::string_view text) const {
  return std::ranges::any_of(
      entries_, [&](const Entry& entry) { return !entry.pattern && entry.text == text; });
}

Result<bool> IsUnquantized(NameRule rule, const EngineModule& module, const NameList& list) {
  const auto row = std::ranges::find(kRules, rule, &RuleRow::rule);
  if (row == std::end(kRules)) return false;
  if (module.set == kRoutedExperts) return AskExperts(*row, module, list);
  if (!module.fused) return AnyMatches(*row, list, module.name);
  switch (module.set == kAProjections ? row->a_projections : row->gate_up) {
    case Fused::kOwnName:
      return AnyMatches(*row, list, module.name);
    case Fused::kNameOrParts:
      if (AnyMatches(*row, list, module.name)) return true;
      break;
    case Fused::kListedOrParts:
      if (list.Contains(module.name)) return true;
      break;
    case Fused::kParts:
      break;
  }
  return AllAgree(*row, list, module, module.own_parts.size());
}

}  // namespace tessera
