#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr Family kFamilies[] = {Family::kV2,  Family::kV3, Family::kV31,
                                Family::kV32, Family::kK2, Family::kMoonlight};

constexpr EngineNames kNames{.a_projections = "fused_qkv_a_proj", .gate_up = "gate_up_proj"};

constexpr std::string_view kNoFp8 =
    "FP8 of these models ends in NotImplementedError, the cards have none";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block", .loads = false, .reason = kNoFp8, .nearest = "ascend-w8a8-dynamic"},
    {.scheme = "w8a8"},
    {.scheme = "w4a16",
     .may = kRoutedExperts,
     .groups = "32",
     .bf16_scales = true,
     .reason = "packed linears have no kernel, experts do; group_size is taken from the top of "
               "quantization_config, 32 where it is not there"},
    {.scheme = "ascend-w8a8-dynamic"},
};

void RefuseFp8(Judgement& j) {
  j.Fatal("fp8-refused", "", "quant_method is fp8: " + std::string(kNoFp8),
          "quantize: tessera quantize --scheme ascend-w8a8-dynamic, or cast to BF16");
}

void JudgePacked(Judgement& j, const GroupClaim& group) {
  constexpr ModuleSet kLinears = kAllLinears & ~kRoutedExperts;
  if (const StoredModule* linear = FirstStoredAs(j, kLinears, Storage::kPacked)) {
    j.Fatal("packed-linears", linear->main().info.name(),
            linear->name + " is pack-quantized: only experts have such kernels",
            "quantize again: tessera quantize --experts-only");
  }
  const int64_t columns = group.group_size.value_or(-1);
  if (j.claim.group_size.value_or(32) != columns) {
    j.Fatal("ascend-group-size", "",
            "group_size is taken from the top of quantization_config, or 32, and the weights' is " +
                std::to_string(columns),
            "write \"group_size\": " + std::to_string(columns) + " at the top as well");
  }
  if (!group.symmetric) {
    j.Fatal("asymmetric-experts", "", "experts have zero points, which are not loaded",
            "quantize symmetrically: tessera quantize --scheme w4a16");
  }
  RequireBf16Scales(j);
}

void JudgeCompressed(Judgement& j) {
  CheckCompressedConfig(j);
  CheckActivations(j);
  const GroupClaim* group = GroupOfExperts(j);
  if (group != nullptr && FirstStoredAs(j, kAllLinears, Storage::kPacked) != nullptr) {
    JudgePacked(j, *group);
  }
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kCtVllm, .list = j.claim.unquantized});
}

constexpr MethodJudge kMethods[] = {{"fp8", RefuseFp8}, {"compressed-tensors", JudgeCompressed}};

void Judge(Judgement& j) {
  CheckDescription(j, true);
  if (!j.files.description.empty()) ForbidQuantizationConfig(j, j.files.description_name);
  if (j.files.description.empty()) {
    JudgeMethod(j, kMethods, "compressed-tensors, and quant_model_description.json");
  } else {
    CheckDescribedTypes(j, kNames);
    CheckCoverage(j, {.names = kNames, .compares = false});
  }
  CheckNeverQuantized(j);
  WarnOfRouterBias(j);
  CheckMtp(j, true);
  CheckCustomCode(j);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kVllmAscend{
    .name = "vllm-ascend",
    .version = "August 2026",
    .judged = "its source",
    .families = kFamilies,
    .schemes = kSchemes,
    .other_reason =
        "it reads BF16, msModelSlim's formats and compressed-tensors of INT8 or of "
        "INT4 experts",
    .other_nearest = "ascend-w8a8-dynamic",
    .judge = Judge,
};

}  // namespace tessera
