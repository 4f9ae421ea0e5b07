#include "convert/engines/families.h"
#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr std::string_view kOnlyFp8 =
    "its classes for these models load BF16 and block FP8, nothing else";
constexpr std::string_view kPacked =
    "compressed-tensors needs every module's path, which attention of these models is built "
    "without";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block"},
    {.scheme = "fp8-block-ue8m0"},
    {.scheme = "w4a16", .loads = false, .reason = kPacked, .nearest = "fp8-block"},
    {.scheme = "w4a16-asym", .loads = false, .reason = kPacked, .nearest = "fp8-block"},
    {.scheme = "w8a16", .loads = false, .reason = kPacked, .nearest = "fp8-block"},
    {.scheme = "awq",
     .loads = false,
     .reason = "it has AWQ linears but no AWQ experts",
     .nearest = "fp8-block"},
};

void JudgeFp8(Judgement& j) {
  CheckFp8Config(j);
  CheckUe8m0(j);
  WarnKvBOrder(j);
  // Attention is asked for without a name, so that a list does not reach it; unquantized weights
  // are quantized as they load.
  CheckCoverage(j, {.names = {.gate_up = "gate_up_proj"}, .compares = false});
}

void RefusePacked(Judgement& j) {
  j.Fatal("method-refused", "", "compressed-tensors: " + std::string(kPacked),
          "convert to BF16 or block FP8: tessera cast");
}

void RefuseAwq(Judgement& j) {
  j.Fatal("method-refused", "", "awq: there are AWQ linears but no AWQ experts",
          "convert to BF16 or block FP8: tessera cast");
}

constexpr MethodJudge kMethods[] = {
    {"fp8", JudgeFp8}, {"compressed-tensors", RefusePacked}, {"awq", RefuseAwq}};

void Judge(Judgement& j) {
  JudgeMethod(j, kMethods, "fp8");
  NoteShardNames(j);
  CheckNeverQuantized(j);
  WarnOfRouterBias(j);
  CheckMtp(j, true);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kLmdeploy{
    .name = "lmdeploy",
    .version = "0.18.0",
    .judged = "its source; its config reader run on our configs",
    .families = kAllFamilies,
    .schemes = kSchemes,
    .other_reason = kOnlyFp8,
    .other_nearest = "fp8-block",
    .judge = Judge,
};

}  // namespace tessera
