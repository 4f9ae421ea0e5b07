#include "convert/engines/families.h"
#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr std::string_view kNoFp8 = "Ascend cards have no FP8, and it reads msModelSlim's formats";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block", .loads = false, .reason = kNoFp8, .nearest = "ascend-w8a8-dynamic"},
    {.scheme = "ascend-w8a8-dynamic", .may = kAllButKvB, .reason = "kv_b_proj is read as a float"},
};

std::string Text(const Json& config, const char* key) {
  const auto field = config.find(key);
  return field != config.end() && field->is_string() ? field->get<std::string>() : "";
}

// "w8a8" chooses the kernels for static activations; experts follow `quantize` unless told.
void CheckKernels(Judgement& j, const char* key, const std::string& quantize, ModuleSet set) {
  const std::string own = Text(j.config, key);
  const std::string& choice = own.empty() ? quantize : own;
  const StoredModule* dynamic = FirstStoredAs(j, set, Storage::kInt8Channel);
  if (dynamic == nullptr || choice.empty() || choice == "w8a8_dynamic" ||
      dynamic->Find("deq_scale") != nullptr) {
    return;
  }
  // INT4 in bytes looks the same but for its second scale.
  const auto described = j.files.description.find(dynamic->name + ".weight");
  if (dynamic->Find("weight_scale_second") != nullptr ||
      (described != j.files.description.end() && described->second == "W4A8_DYNAMIC")) {
    return;
  }
  j.Fatal("quantize-wrong", dynamic->main().info.name(),
          std::string(own.empty() ? "quantize" : key) + " is " + choice + ", and " + dynamic->name +
              " is INT8 for dynamic activations, a scale a row",
          "write \"" + std::string(own.empty() ? "quantize" : key) + "\": \"w8a8_dynamic\"");
}

void CheckKeys(Judgement& j) {
  if (j.files.description.empty()) return;
  RefuseKvBStoredAs(j, Storage::kInt8Channel);
  const std::string quantize = Text(j.config, "quantize");
  if (quantize.empty()) {
    j.Fatal("quantize-missing", "", "config.json has no \"quantize\", which chooses the kernels",
            "add \"quantize\": \"w8a8_dynamic\"");
  }
  const std::string& name = j.files.description_name;
  if (name != "quant_model_description.json" &&
      name != "quant_model_description_" + quantize + ".json") {
    j.Fatal("description-name", "",
            "the description is called " + name + ", and looked for as " +
                "quant_model_description.json or with \"quantize\" of config.json behind",
            "rename it to quant_model_description.json");
  }
  CheckKernels(j, "moe_quantize", quantize, kRoutedExperts);
  CheckKernels(j, "quantize", quantize, kSharedExperts | kDenseMlp);
  const StoredModule* attention =
      FirstStoredAs(j, kAProjections | kAttention, Storage::kInt8Channel);
  const std::string mla = Text(j.config, "mla_quantize");
  if (attention != nullptr && mla == "w8a8" && attention->Find("deq_scale") == nullptr) {
    j.Fatal("mla-quantize", attention->main().info.name(),
            "mla_quantize is w8a8, which asks for static scales (deq_scale, input_scale) that "
            "attention does not have",
            "write \"mla_quantize\": \"w8a8_dynamic\", or leave it out");
  }
}

void Judge(Judgement& j) {
  if (!j.files.description.empty()) ForbidQuantizationConfig(j, j.files.description_name);
  JudgeMethod(j, {}, "none: it reads quant_model_description.json");
  CheckDescription(j, false);
  CheckKeys(j);
  CheckCoverage(
      j, {.names = {.a_projections = "fused", .gate_up = "gate_up_proj"}, .compares = false});
  CheckNeverQuantized(j);
  WarnOfRouterBias(j);
  CheckMtp(j, true);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kAscendMindIe{
    .name = "ascend-mindie",
    .version = "April 2026",
    .judged = "its source; a checkpoint without calibration is a path in it, not a documented one",
    .families = kV3Families,
    .schemes = kSchemes,
    .other_reason = "it reads BF16 and msModelSlim's formats",
    .other_nearest = "ascend-w8a8-dynamic",
    .judge = Judge,
};

}  // namespace tessera
