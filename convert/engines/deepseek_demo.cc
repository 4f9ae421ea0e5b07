#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr Family kFamilies[] = {Family::kV2, Family::kV2Lite, Family::kV3, Family::kV31,
                                Family::kV32};

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16", .reason = "cut for ranks: reshard --mp"},
    {.scheme = "fp8-block", .reason = "cut for ranks: reshard --mp"},
    {.scheme = "fp8-block-ue8m0", .reason = "cut for ranks: reshard --mp"},
};

void JudgeFp8(Judgement& j) { CheckFp8Config(j); }

constexpr MethodJudge kMethods[] = {{"fp8", JudgeFp8}};

void Judge(Judgement& j) {
  const uint32_t ranks = j.checkpoint.ranks();
  const std::string wanted = std::to_string(j.options.tp);
  if (ranks == 0) {
    j.Fatal("not-cut", "", "the demo loads model{rank}-mp{N}.safetensors, one file a rank",
            "cut it: tessera reshard IN OUT --mp " + wanted);
  } else if (j.options.tp != 1 && ranks != static_cast<uint32_t>(j.options.tp)) {
    j.Fatal("tp-degree", "",
            "the files are cut for " + std::to_string(ranks) + " ranks, not for " + wanted,
            "cut again: tessera reshard IN OUT --mp " + wanted);
  }
  JudgeMethod(j, kMethods, "fp8");
  CheckNeverQuantized(j);
}

}  // namespace

constinit const EngineProfile kDeepSeekDemo{
    .name = "deepseek-demo",
    .version = "inference/ of DeepSeek-V3 and V3.2-Exp",
    .judged = "its source; its convert.py run against reshard",
    .families = kFamilies,
    .schemes = kSchemes,
    .other_reason = "it computes in BF16 and block FP8",
    .other_nearest = "fp8-block",
    .loads_ranks = true,
    .judge = Judge,
};

}  // namespace tessera
