#include "convert/engines/families.h"
#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr EngineNames kNames{.a_projections = "fused_qkv_a_proj", .gate_up = "gate_up_proj"};

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block", .reason = "MI300 turns e4m3fn into its own FP8 as it loads"},
    {.scheme = "fp8-block-ue8m0"},
    {.scheme = "fp8-channel"},
    {.scheme = "w4a16",
     .may = kRoutedExperts,
     .groups = "32 64 128",
     .reason = "without Marlin there are Triton experts, symmetric and in groups, and packed "
               "attention is not known to work"},
};

void JudgeFp8(Judgement& j) {
  CheckFp8Config(j);
  CheckNanCodes(j);
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kFp8Vllm, .list = j.claim.unquantized});
}

void JudgeCompressed(Judgement& j) {
  CheckCompressedConfig(j);
  CheckFormats(j, false);
  CheckActivations(j);
  WarnOfGroupSize(j);
  const bool packed = FirstStoredAs(j, kRoutedExperts, Storage::kPacked) != nullptr;
  const GroupClaim* experts = GroupOfExperts(j);
  if (packed && experts != nullptr && (experts->strategy != "group" || !experts->symmetric)) {
    j.Fatal("rocm-experts", "",
            "packed experts are " + std::string(experts->symmetric ? "" : "asymmetric, ") +
                experts->strategy + "-wise; the kernels without Marlin take symmetric groups",
            "quantize again: tessera quantize --scheme w4a16");
  }
  CheckNanCodes(j);
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kCtVllm, .list = j.claim.unquantized});
}

constexpr MethodJudge kMethods[] = {{"fp8", JudgeFp8}, {"compressed-tensors", JudgeCompressed}};

void Judge(Judgement& j) {
  JudgeMethod(j, kMethods, "fp8, compressed-tensors");
  CheckNeverQuantized(j);
  CheckIndexer(j);
  WarnOfRouterBias(j);
  CheckJoinedBlocks(j);
  CheckMtp(j, false);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kAmd{
    .name = "amd",
    .version = "vLLM 0.33.0, SGLang 0.5.23 and ATOM on ROCm",
    .judged = "their source; the ROCm branches were read, not run",
    .families = kAllFamilies,
    .schemes = kSchemes,
    .other_reason = "it is not known to load on ROCm",
    .other_nearest = "fp8-block or w4a16 of the routed experts",
    .judge = Judge,
};

}  // namespace tessera
