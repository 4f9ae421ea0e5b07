#include "convert/engines/quant_claim.h"

#include <algorithm>
#include <utility>

#include "convert/engines/name_rule.h"

namespace tessera {
namespace {

const Json* Field(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto field = object.find(key);
  return field == object.end() || field->is_null() ? nullptr : &*field;
}

std::string Text(const Json& object, const char* key) {
  const Json* field = Field(object, key);
  return field != nullptr && field->is_string() ? field->get<std::string>() : "";
}

std::optional<int64_t> Integer(const Json& object, const char* key) {
  const Json* field = Field(object, key);
  if (field == nullptr || !field->is_number_integer()) return std::nullopt;
  return field->get<int64_t>();
}

std::optional<bool> Flag(const Json& object, const char* key) {
  const Json* field = Field(object, key);
  if (field == nullptr || !field->is_boolean()) return std::nullopt;
  return field->get<bool>();
}

std::vector<std::string> Texts(const Json* list) {
  std::vector<std::string> texts;
  if (list == nullptr || !list->is_array()) return texts;
  for (const Json& item : *list) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

// compressed-tensors' QuantizationArgs takes these and no others.
void ReadKeys(const Json& args, GroupClaim& group) {
  constexpr std::string_view kKnown[] = {
      "actorder",        "block_structure", "dynamic",  "group_size", "num_bits", "observer",
      "observer_kwargs", "scale_dtype",     "strategy", "symmetric",  "type",     "zp_dtype"};
  if (!args.is_object()) return;
  for (const auto& [key, value] : args.items()) {
    if (std::ranges::find(kKnown, key) == std::end(kKnown)) group.unknown_keys.push_back(key);
    if (key == "scale_dtype" || key == "zp_dtype") group.newer_key = key;
  }
}

GroupClaim ReadGroup(const Json& json) {
  GroupClaim group;
  group.targets = Texts(Field(json, "targets"));
  group.format = Text(json, "format");
  if (const Json* weights = Field(json, "weights")) {
    group.bits = Integer(*weights, "num_bits");
    group.group_size = Integer(*weights, "group_size");
    group.names_group_size = group.group_size.has_value();
    group.type = Text(*weights, "type");
    group.strategy = Text(*weights, "strategy");
    group.symmetric = Flag(*weights, "symmetric").value_or(true);
    group.actorder = Text(*weights, "actorder");
    group.names_block = Field(*weights, "block_structure") != nullptr;
    ReadKeys(*weights, group);
    if (group.strategy.empty())
      group.strategy = group.group_size.value_or(-1) > 0 ? "group" : "channel";
  }
  if (const Json* inputs = Field(json, "input_activations")) {
    group.quantizes_inputs = true;
    ReadKeys(*inputs, group);
    group.dynamic_inputs = Flag(*inputs, "dynamic").value_or(false);
    group.input_strategy = Text(*inputs, "strategy");
    group.input_type = Text(*inputs, "type");
  }
  return group;
}

const Json* FindObject(const Json& config) {
  const Json* found = Field(config, "quantization_config");
  if (found == nullptr) found = Field(config, "compression_config");
  if (found == nullptr && Field(config, "text_config") != nullptr) {
    found = Field(config.at("text_config"), "quantization_config");
  }
  return found;
}

void ReadLists(const Json& object, QuantClaim& claim) {
  for (const char* key :
       {"ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules"}) {
    const Json* list = Field(object, key);
    if (list == nullptr) continue;
    claim.unquantized = Texts(list);
    claim.has_list = true;
    if (!claim.unquantized.empty()) break;
  }
  if (const Json* dynamic = Field(object, "dynamic"); dynamic != nullptr && dynamic->is_object()) {
    for (const auto& [pattern, settings] : dynamic->items()) claim.dynamic.push_back(pattern);
  }
}

void ReadModelOpt(const Json& file, QuantClaim& claim) {
  const Json* object = Field(file, "quantization");
  claim.origin = "hf_quant_config.json";
  claim.object = object == nullptr ? file : *object;
  claim.method = Text(claim.object, "quant_algo");
  ReadLists(claim.object, claim);
}

}  // namespace

QuantClaim QuantClaim::Read(const Json& config, const std::optional<Json>& modelopt) {
  QuantClaim claim;
  const Json* object = FindObject(config);
  if (object == nullptr) {
    if (modelopt) ReadModelOpt(*modelopt, claim);
    return claim;
  }
  claim.origin = "config.json";
  claim.object = *object;
  claim.method = Text(*object, "quant_method");
  if (claim.method == "compressed_tensors") claim.method = "compressed-tensors";
  claim.format = Text(*object, "format");
  claim.bits = Integer(*object, "bits");
  if (!claim.bits) claim.bits = Integer(*object, "w_bit");
  claim.group_size = Integer(*object, "group_size");
  if (!claim.group_size) claim.group_size = Integer(*object, "q_group_size");
  claim.symmetric = Flag(*object, "sym");
  claim.zero_point = Flag(*object, "zero_point");
  claim.desc_act = Flag(*object, "desc_act");
  claim.checkpoint_format = Text(*object, "checkpoint_format");
  claim.version = Text(*object, "version");
  claim.activation_scheme = Text(*object, "activation_scheme");
  claim.scale_fmt = Text(*object, "scale_fmt");
  if (const Json* block = Field(*object, "weight_block_size"); block && block->is_array()) {
    for (const Json& size : *block)
      claim.block.push_back(size.is_number() ? size.get<int64_t>() : 0);
  }
  if (const Json* groups = Field(*object, "config_groups"); groups && groups->is_object()) {
    for (const auto& [name, group] : groups->items()) claim.groups.push_back(ReadGroup(group));
  }
  ReadLists(*object, claim);
  return claim;
}

const GroupClaim* QuantClaim::GroupFor(const std::vector<std::string>& modules) const {
  for (const GroupClaim& group : groups) {
    const auto list = NameList::Parse(group.targets);
    if (!list) continue;
    for (const std::string& name : modules) {
      const EngineModule module{.name = name, .parts = {name}, .own_parts = {name}};
      if (IsUnquantized(NameRule::kCtPlain, module, *list).value_or(false)) return &group;
    }
  }
  for (const GroupClaim& group : groups) {
    if (std::ranges::find(group.targets, "Linear") != group.targets.end()) return &group;
  }
  return nullptr;
}

std::string QuantClaim::Describe() const {
  if (method.empty()) return origin.empty() ? "none" : "of an unnamed method";
  std::string text = method;
  if (!format.empty()) text += " " + format;
  const GroupClaim* group = groups.empty() ? nullptr : &groups[0];
  const auto width = group != nullptr ? group->bits : bits;
  const auto columns = group != nullptr ? group->group_size : group_size;
  if (width) text += ", " + std::to_string(*width) + " bits";
  if (columns && *columns > 0) text += ", group " + std::to_string(*columns);
  if (group != nullptr && !group->symmetric) text += ", asymmetric";
  if (!block.empty()) text += ", blocks of " + std::to_string(block[0]);
  return text;
}

}  // namespace tessera
