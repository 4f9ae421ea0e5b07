#include "convert/engines/ignore_list.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace tessera {
namespace {

constexpr std::string_view kLayers = "model.layers.";
constexpr std::string_view kExperts = "mlp.experts";

// A module's place in its layer: "self_attn" and "q_a_proj". All experts are one place.
struct Place {
  std::string group, leaf;

  friend auto operator<=>(const Place&, const Place&) = default;
};
using Layers = std::set<int32_t>;

struct Located {
  int32_t layer;
  Place place;
};

std::optional<Located> Locate(const ModelSpec& spec, const std::string& module) {
  const auto role = spec.Parse(module + ".weight");
  if (!role || role->layer < 0 || !module.starts_with(kLayers)) return std::nullopt;
  const size_t dot = module.find('.', kLayers.size());
  const size_t last = module.rfind('.');
  std::string group =
      role->mlp == Mlp::kRouted ? std::string(kExperts) : module.substr(dot + 1, last - dot - 1);
  return Located{role->layer, {std::move(group), module.substr(last + 1)}};
}

bool IsListed(const TensorRole& role) {
  return SetOf(role) != 0 || role.module == Module::kIndexerWk ||
         role.module == Module::kIndexerWeightsProj;
}

// Leaves that are unquantized in the same layers, of one group.
struct Listed {
  std::string group;
  std::vector<std::string> leaves;
  Layers layers;
  bool everywhere;  // in all layers that have them
};

void AddFusedNames(std::vector<std::string>& leaves) {
  const auto has = [&](std::string_view leaf) {
    return std::ranges::find(leaves, leaf) != leaves.end();
  };
  if (has("gate_proj") && has("up_proj")) leaves.emplace_back("gate_up_proj");
  if (has("q_a_proj") && has("kv_a_proj_with_mqa")) {
    leaves.emplace_back("fused_qkv_a_proj");
    leaves.emplace_back("fused_qkv_a_proj_with_mqa");
  }
}

std::vector<Listed> Gather(const ModelSpec& spec, const std::vector<std::string>& unquantized) {
  std::map<Place, Layers> all, wanted;
  spec.ForEach([&](const TensorRole& role) {
    if (role.part != Part::kWeight || !IsListed(role)) return;
    const std::string name = spec.NameOf(role);
    const auto at = Locate(spec, name.substr(0, name.rfind('.')));
    if (at) all[at->place].insert(at->layer);
  });
  for (const std::string& module : unquantized) {
    if (const auto at = Locate(spec, module)) wanted[at->place].insert(at->layer);
  }
  std::map<std::pair<std::string, Layers>, std::vector<std::string>> by_layers;
  for (const auto& [place, layers] : wanted) by_layers[{place.group, layers}].push_back(place.leaf);
  std::vector<Listed> listed;
  for (auto& [key, leaves] : by_layers) {
    const bool everywhere = std::ranges::all_of(
        leaves, [&](const std::string& leaf) { return all[{key.first, leaf}] == key.second; });
    if (key.first != kExperts) AddFusedNames(leaves);
    listed.push_back({key.first, std::move(leaves), key.second, everywhere});
  }
  return listed;
}

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '.') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string Alternatives(const std::vector<std::string>& texts) {
  if (texts.size() == 1) return texts[0];
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "(" : "|") + text;
  return joined + ")";
}

// What follows the layer. Engines ask for experts as one module or by expert 0's projections.
std::string TailPattern(const Listed& listed) {
  if (listed.group == kExperts) return Escaped(kExperts) + "(\\.|$)";
  return Escaped(listed.group) + "\\." + Alternatives(listed.leaves) + "$";
}

void AddPatterns(const ModelSpec& spec, const Listed& listed, const std::string& prefix,
                 std::vector<std::string>& list) {
  const std::string tail = TailPattern(listed);
  if (listed.everywhere) {
    list.push_back(prefix + ".*\\." + tail);
    return;
  }
  std::vector<std::string> numbers;
  bool mtp = false;
  for (const int32_t layer : listed.layers) {
    numbers.push_back(std::to_string(layer));
    mtp = mtp || spec.IsMtpLayer(layer);
  }
  list.push_back(prefix + "model\\.layers\\." + Alternatives(numbers) + "\\." + tail);
  if (mtp) list.push_back(prefix + "model\\.decoder\\." + tail);
}

// Plain names, with their layers where `layered`.
void AddNames(const ModelSpec& spec, const Listed& listed, bool layered,
              std::vector<std::string>& list) {
  std::vector<std::string> prefixes;
  if (!layered) {
    prefixes.emplace_back("");
  } else {
    for (const int32_t layer : listed.layers) {
      prefixes.push_back(std::string(kLayers) + std::to_string(layer) + ".");
      if (spec.IsMtpLayer(layer)) prefixes.emplace_back("model.decoder.");
    }
  }
  for (const std::string& prefix : prefixes) {
    if (listed.group == kExperts) {
      list.push_back(prefix + std::string(kExperts));
      continue;
    }
    for (const std::string& leaf : listed.leaves) {
      list.push_back(prefix + listed.group + "." + leaf);
    }
  }
}

}  // namespace

ListSpelling SpellingOf(std::string_view scheme) {
  if (scheme == "awq") return ListSpelling::kSubstring;
  if (scheme == "gptq4" || scheme == "gptq8") return ListSpelling::kGptqDynamic;
  if (scheme.starts_with("fp8-block") || scheme == "int8-block") return ListSpelling::kExact;
  constexpr std::string_view kRegex[] = {"w4a16", "w4a16-asym",  "w8a16",
                                         "w8a8",  "fp8-channel", "int8-channel"};
  return std::ranges::find(kRegex, scheme) != std::end(kRegex) ? ListSpelling::kRegex
                                                               : ListSpelling::kNone;
}

std::vector<std::string> SpellUnquantized(const ModelSpec& spec, std::string_view scheme,
                                          const std::vector<std::string>& unquantized) {
  std::vector<std::string> list;
  const ListSpelling spelling = SpellingOf(scheme);
  if (spelling == ListSpelling::kNone) return list;
  if (spelling == ListSpelling::kRegex) {
    list = {"lm_head", "re:.*\\.mlp\\.gate$"};
    if (spec.num_nextn_predict_layers > 0) {
      list.emplace_back("re:.*\\.(eh_proj|shared_head\\.head)$");
    }
  }
  for (const Listed& listed : Gather(spec, unquantized)) {
    if (spelling == ListSpelling::kSubstring || spelling == ListSpelling::kExact) {
      AddNames(spec, listed, !listed.everywhere || spelling == ListSpelling::kExact, list);
    } else {
      AddPatterns(spec, listed, spelling == ListSpelling::kRegex ? "re:" : "-:", list);
    }
  }
  return list;
}

}  // namespace tessera
