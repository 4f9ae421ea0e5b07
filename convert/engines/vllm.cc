#include "convert/engines/families.h"
#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr EngineNames kNames{.a_projections = "fused_qkv_a_proj", .gate_up = "gate_up_proj"};

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block"},
    {.scheme = "fp8-block-ue8m0"},
    {.scheme = "fp8-channel"},
    {.scheme = "w4a16", .groups = "channel 32 64 128"},
    {.scheme = "w4a16-asym",
     .groups = "channel 32 64 128",
     .reason = "asymmetric experts load since 0.33, on the Marlin path"},
    {.scheme = "w8a16",
     .groups = "channel 32 64 128",
     .reason = "experts in groups load since 0.33; before, channel only"},
    {.scheme = "w8a8"},
    {.scheme = "int8-block",
     .loads = false,
     .reason = "it has no blockwise_int8 method",
     .nearest = "w8a8, a scale a row"},
    {.scheme = "int8-channel",
     .loads = false,
     .reason = "it has no w8a8_int8 method",
     .nearest = "w8a8, the same codes and scales under compressed-tensors"},
    {.scheme = "w4afp8",
     .loads = false,
     .reason = "it has no loader for SGLang's INT4 bytes",
     .nearest = "w4a16"},
    {.scheme = "awq", .groups = "32 64 128"},
    {.scheme = "gptq4", .groups = "32 64 128"},
    {.scheme = "gptq8", .groups = "32 64 128"},
    {.scheme = "ascend-w8a8-dynamic",
     .loads = false,
     .reason = "quant_model_description.json is read by vllm-ascend only",
     .nearest = "w8a8"},
    {.scheme = "trtllm-w4a8",
     .loads = false,
     .reason = "it has no loader for INT4 experts of a MIXED_PRECISION checkpoint",
     .nearest = "w4a16"},
};

void JudgeFp8(Judgement& j) {
  CheckFp8Config(j);
  CheckUe8m0(j);
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kFp8Vllm, .list = j.claim.unquantized});
}

// "Linear" is not the head's class, but a pattern may match its name.
void WarnOfHead(Judgement& j) {
  const EngineModule head{.name = "lm_head", .parts = {"lm_head"}, .own_parts = {"lm_head"}};
  const auto list = NameList::Parse(j.claim.unquantized);
  if (!list || IsUnquantized(NameRule::kCtVllm, head, *list).value_or(true)) return;
  if (j.stored.StorageOf("lm_head") != Storage::kFloat) return;
  for (const GroupClaim& group : j.claim.groups) {
    const auto targets = NameList::Parse(group.targets);
    if (!targets || !IsUnquantized(NameRule::kCtPlain, head, *targets).value_or(false)) continue;
    return j.Warn("list-misses-unquantized", "lm_head.weight",
                  "lm_head is unquantized, but a target of config.json matches it",
                  "add \"lm_head\" to the list");
  }
}

void JudgeCompressed(Judgement& j) {
  CheckCompressedConfig(j);
  const GroupClaim* experts = GroupOfExperts(j);
  if (HasAsymmetricExperts(j)) {
    j.Warn("asymmetric-experts", "",
           "experts have zero points: vLLM before 0.33 refuses them, "
           "later ones load them with Marlin kernels only",
           "quantize symmetrically: tessera quantize --scheme w4a16");
  }
  if (experts != nullptr && experts->bits == 8 && experts->strategy == "group" &&
      FirstStoredAs(j, kRoutedExperts, Storage::kPacked) != nullptr) {
    j.Warn("w8a16-groups", "",
           "8-bit experts have scales in groups: vLLM of August 2026 asserts "
           "a scale a row, 0.33 loads them",
           "quantize a scale a row: tessera quantize --scheme w8a16");
  }
  WarnOfHead(j);
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kCtVllm, .list = j.claim.unquantized});
}

void JudgeAwq(Judgement& j) {
  CheckAwqConfig(j);
  std::vector<std::string> list = j.claim.unquantized;
  if (list.empty()) {
    // It takes for unquantized what has no tensor of integers.
    for (const StoredModule& module : j.stored.all()) {
      if (module.storage == Storage::kFloat) list.push_back(module.name);
    }
  }
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kAwqVllm, .list = std::move(list)});
}

void JudgeGptq(Judgement& j) {
  CheckGptqConfig(j);
  CheckCoverage(j, {.names = kNames,
                    .rule = NameRule::kGptq,
                    .list = j.claim.dynamic,
                    .kind = NameList::Kind::kGptqDynamic,
                    .detects_linears = true});
}

constexpr MethodJudge kMethods[] = {{"fp8", JudgeFp8},
                                    {"compressed-tensors", JudgeCompressed},
                                    {"awq", JudgeAwq},
                                    {"gptq", JudgeGptq}};

void Judge(Judgement& j) {
  JudgeMethod(j, kMethods, "fp8, compressed-tensors, awq, gptq");
  CheckNeverQuantized(j);
  CheckIndexer(j);
  CheckMtp(j, false);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kVllm{
    .name = "vllm",
    .version = "0.33.0",
    .judged = "its source; its name rules run against ours",
    .families = kAllFamilies,
    .schemes = kSchemes,
    .judge = Judge,
};

}  // namespace tessera
