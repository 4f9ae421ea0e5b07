#include <algorithm>

#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr std::string_view kName = "quant_model_description.json";

// What a module is by the description, judged by what is stored.
std::string_view TypeOf(const StoredModule& module) {
  if (module.storage == Storage::kFloat) return "FLOAT";
  if (module.storage == Storage::kInt8Channel) return "W8A8_DYNAMIC";
  if (module.storage == Storage::kInt8Static) return "W8A8";
  return "";
}

struct Seen {
  uint64_t lacking = 0, wrong = 0, without_offset = 0;
  std::string first_lacking, first_wrong, first_without_offset;
};

void Look(const Judgement& j, const StoredModule& module, Seen& seen) {
  for (const auto& [suffix, tensor] : module.parts) {
    if (j.files.description.contains(tensor->info.name())) continue;
    if (seen.lacking++ == 0) seen.first_lacking = tensor->info.name();
  }
  const auto entry = j.files.description.find(module.name + ".weight");
  if (entry == j.files.description.end()) return;
  const std::string_view type = TypeOf(module);
  // Static scales are in deq_scale, which the dynamic types do without.
  const bool is_static = entry->second == "W8A8" || entry->second == "W8A8_MIX";
  const bool lacks_static = is_static && module.Find("deq_scale") == nullptr;
  const bool differs = type == "FLOAT" || type == "W8A8" || entry->second == "FLOAT";
  if (!type.empty() && entry->second != type && (differs || lacks_static)) {
    if (seen.wrong++ == 0) seen.first_wrong = entry->first + " is " + entry->second;
  }
  if (module.storage == Storage::kInt8Channel && module.Find("weight_offset") == nullptr) {
    if (seen.without_offset++ == 0) seen.first_without_offset = module.main().info.name();
  }
}

void CheckName(Judgement& j, bool exact_name) {
  const std::string& name = j.files.description_name;
  if (name == kName || !exact_name) return;
  j.Fatal("description-name", "",
          "the description is called " + name + ", and looked for as " + std::string(kName),
          "rename it");
}

// Whether all of it is zero, or minus zero.
bool IsZero(Judgement& j, const TensorExtent& tensor) {
  const uint64_t width =
      tensor.info.elements() == 0 ? 1 : tensor.info.bytes() / tensor.info.elements();
  const bool has_sign = IsPlainFloat(tensor.info.dtype());
  bool zero = true;
  ForEachPiece(j, tensor, [&](uint64_t, std::span<const std::byte> bytes) {
    for (uint64_t i = 0; i < bytes.size(); ++i) {
      const bool sign = has_sign && i % width == width - 1;
      zero = zero && (bytes[i] & (sign ? std::byte{0x7F} : std::byte{0xFF})) == std::byte{0};
    }
  });
  return zero;
}

void CheckOffsets(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* offset = module.Find("weight_offset");
    if (module.storage != Storage::kInt8Channel || offset == nullptr || IsZero(j, *offset))
      continue;
    return j.Fatal("offset-not-zero", offset->info.name(),
                   module.name + " has offsets that are not zero, and the kernels are symmetric",
                   "quantize again: tessera quantize --scheme ascend-w8a8-dynamic");
  }
}

}  // namespace

void CheckDescribedTypes(Judgement& j, const EngineNames& names) {
  const auto type_of = [&](const std::string& module) {
    const auto entry = j.files.description.find(module + ".weight");
    return entry == j.files.description.end() ? std::string() : entry->second;
  };
  for (const EngineModule& module : ModulesAsked(j.spec, names)) {
    const std::string first = type_of(module.parts[0]);
    const auto other = std::ranges::find_if(module.parts, [&](const std::string& part) {
      const std::string its = type_of(part);
      return !its.empty() && !first.empty() && its != first;
    });
    if (other != module.parts.end()) {
      return j.Fatal("description-differs", *other + ".weight",
                     *other + " is described as " + type_of(*other) + " where " + module.parts[0] +
                         " is " + first + ", and the engine puts them into one weight",
                     "quantize again: tessera quantize --scheme ascend-w8a8-dynamic");
    }
    const bool expert = module.set == kRoutedExperts;
    if (first == "W4A8_DYNAMIC" && (!expert || j.files.description_group > 0)) {
      return j.Fatal("description-type", module.parts[0] + ".weight",
                     module.parts[0] + " is W4A8_DYNAMIC" +
                         (expert ? " in groups, and experts load with a scale a row"
                                 : ", for which experts alone have kernels"),
                     "quantize again: tessera quantize --scheme ascend-w8a8-dynamic");
    }
  }
}

void CheckDescription(Judgement& j, bool exact_name) {
  const StoredModule* int8 = FirstStoredAs(j, kAllLinears, Storage::kInt8Channel);
  if (j.files.description_name.empty()) {
    if (int8 == nullptr || !j.claim.origin.empty()) return;
    return j.Fatal("description-missing", int8->main().info.name(),
                   "INT8 weights without " + std::string(kName) + ": they would load as floats",
                   "write it: tessera quantize --scheme ascend-w8a8-dynamic");
  }
  CheckName(j, exact_name);
  Seen seen;
  for (const StoredModule& module : j.stored.all()) Look(j, module, seen);
  if (seen.lacking > 0) {
    j.Fatal("description-incomplete", seen.first_lacking,
            std::to_string(seen.lacking) + " tensors are not in " + j.files.description_name +
                ": the loader asks for each, embedding, head and MTP module included, and ends "
                "with a KeyError",
            "add them, unquantized ones as FLOAT");
  }
  if (seen.wrong > 0) {
    j.Fatal("description-wrong", "",
            std::to_string(seen.wrong) +
                " modules are not what the description says: " + seen.first_wrong,
            "describe what is stored");
  }
  if (seen.without_offset > 0) {
    j.Fatal("offset-missing", seen.first_without_offset,
            std::to_string(seen.without_offset) +
                " INT8 weights have no weight_offset, which is read next to weight_scale",
            "quantize again: tessera quantize --scheme ascend-w8a8-dynamic writes zeros");
  }
  CheckOffsets(j);
}

}  // namespace tessera
