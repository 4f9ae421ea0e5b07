#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr Family kFamilies[] = {Family::kV2, Family::kV3, Family::kV31, Family::kV32, Family::kK2};

constexpr std::string_view kCpuExperts =
    "experts run on the CPU, the rest in SGLang: attention is as SGLang needs it";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16", .flags = "--kt-method BF16"},
    {.scheme = "fp8-block", .flags = "--kt-method FP8"},
    {.scheme = "fp8-block-ue8m0", .flags = "--kt-method FP8"},
    {.scheme = "fp8-channel", .flags = "--kt-method FP8_PERCHANNEL"},
    {.scheme = "w4a16",
     .may = kRoutedExperts,
     .must = kRoutedExperts,
     .groups = "32 64 128",
     .bf16_scales = true,
     .flags = "--kt-method RAWINT4",
     .reason = kCpuExperts},
    {.scheme = "gptq4",
     .may = kRoutedExperts,
     .must = kRoutedExperts,
     .groups = "32 64 128",
     .flags = "--kt-method GPTQ_INT4",
     .reason = kCpuExperts},
};

void JudgeFp8(Judgement& j) { CheckFp8Config(j); }

// What is no expert runs in SGLang, under SGLang's rules.
void RefuseInAttention(Judgement& j, Storage storage, std::string_view rule) {
  const StoredModule* module = FirstStoredAs(j, kAProjections | kKvB, storage);
  if (module == nullptr) return;
  j.Fatal(rule, module->main().info.name(),
          module->name + " is " + std::string(Name(storage)) + ": " + std::string(kCpuExperts),
          "leave attention unquantized: tessera quantize --experts-only");
}

void JudgeCompressed(Judgement& j) {
  CheckCompressedConfig(j);
  CheckFormats(j, true);
  RefuseInAttention(j, Storage::kPacked, "packed-attention");
  const GroupClaim* group = GroupOfExperts(j);
  if (FirstStoredAs(j, kRoutedExperts, Storage::kPacked) == nullptr || group == nullptr) return;
  const int64_t columns = group->group_size.value_or(-1);
  if (group->bits != 4 || !group->symmetric || columns <= 0 || columns % 32 != 0) {
    j.Fatal("rawint4", "",
            "RAWINT4 takes 4 bits, symmetric, in groups of a multiple of 32; these are " +
                j.claim.Describe(),
            "quantize again: tessera quantize --scheme w4a16");
  }
  RequireBf16Scales(j);
}

void JudgeGptq(Judgement& j) {
  CheckGptqConfig(j);
  RefuseInAttention(j, Storage::kGptq, "gptq-attention");
  if (j.claim.bits && *j.claim.bits != 4) {
    j.Fatal("bits-refused", "", "GPTQ_INT4 takes 4 bits",
            "quantize again: tessera quantize --scheme gptq4");
  }
}

constexpr EngineNames kNames{.a_projections = "fused_qkv_a_proj_with_mqa",
                             .gate_up = "gate_up_proj"};

constexpr MethodJudge kMethods[] = {
    {"fp8", JudgeFp8}, {"compressed-tensors", JudgeCompressed}, {"gptq", JudgeGptq}};

void Judge(Judgement& j) {
  JudgeMethod(j, kMethods, "fp8, compressed-tensors, gptq for experts; GGUF and its own AMX files");
  CheckCoverage(j, {.names = kNames, .compares = false});
  CheckNeverQuantized(j);
  WarnOfRouterBias(j);
  CheckMtp(j, true);
}

}  // namespace

constinit const EngineProfile kKTransformers{
    .name = "ktransformers",
    .version = "kt-kernel of August 2026",
    .judged = "its source",
    .families = kFamilies,
    .schemes = kSchemes,
    .other_reason = "its CPU experts have no kernel for it",
    .other_nearest = "w4a16 of the routed experts",
    .judge = Judge,
};

}  // namespace tessera
