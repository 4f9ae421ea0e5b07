#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr Family kFamilies[] = {Family::kV2, Family::kV2Lite, Family::kV3, Family::kV31};

constexpr std::string_view kOnlyFp8 =
    "it reads BF16 and block FP8; integers it quantizes itself from BF16 (--quant_type)";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block"},
    {.scheme = "fp8-block-ue8m0"},
};

void JudgeFp8(Judgement& j) {
  CheckFp8Config(j);
  RequireKvBInOneShard(j);
  CheckCoverage(j, {.compares = false});
}

constexpr MethodJudge kMethods[] = {{"fp8", JudgeFp8}};

void Judge(Judgement& j) {
  JudgeMethod(j, kMethods, "fp8");
  NoteShardNames(j);
  CheckNeverQuantized(j);
  WarnOfRouterBias(j);
  CheckMtp(j, true);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kLightLlm{
    .name = "lightllm",
    .version = "July 2025",
    .judged = "its source",
    .families = kFamilies,
    .schemes = kSchemes,
    .other_reason = kOnlyFp8,
    .other_nearest = "fp8-block",
    .judge = Judge,
};

}  // namespace tessera
