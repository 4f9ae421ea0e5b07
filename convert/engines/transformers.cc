#include <algorithm>

#include "convert/engines/families.h"
#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr std::string_view kFusedExperts =
    "version 5 holds experts as one weight a layer, to which theirs do not attach: load with 4.57";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block"},
    {.scheme = "fp8-block-ue8m0"},
    {.scheme = "fp8-channel", .reason = kFusedExperts},
    {.scheme = "w4a16", .reason = kFusedExperts},
    {.scheme = "w4a16-asym", .reason = kFusedExperts},
    {.scheme = "w8a16", .reason = kFusedExperts},
    {.scheme = "w8a8", .reason = kFusedExperts},
    {.scheme = "awq", .groups = "32 64 128", .reason = kFusedExperts},
    {.scheme = "gptq4", .groups = "32 64 128", .reason = kFusedExperts},
    {.scheme = "gptq8", .groups = "32 64 128", .reason = kFusedExperts},
};

void WarnOfFusedExperts(Judgement& j) {
  const std::string expert =
      "model.layers." + std::to_string(j.spec.first_k_dense_replace) + ".mlp.experts.0.gate_proj";
  const Storage storage = j.stored.StorageOf(expert);
  if (storage == Storage::kFloat || storage == Storage::kAbsent) return;
  j.Warn("experts-fused", "",
         "experts are " + std::string(Name(storage)) + ": " + std::string(kFusedExperts),
         "use transformers 4.57 with this checkpoint, or cast it to BF16");
}

// Whether `size` in blocks of 128 is not `size` in as many equal parts.
bool IsRagged(uint64_t size) { return size > 128 && size % 128 != 0; }

// Its block is the weight's side over the number of scales.
void WarnOfRaggedBlocks(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    if (module.storage != Storage::kFp8Block) continue;
    const Shape& shape = module.main().info.shape();
    if (!std::ranges::any_of(shape, IsRagged)) continue;
    j.Warn("fp8-ragged", module.main().info.name(),
           "a side that 128 does not divide: where version 5 dequantizes FP8, as it does without a "
           "GPU, it refuses the weight or gives its scales to the wrong rows",
           "run it on a GPU that computes in FP8, or cast it to BF16");
    return;
  }
}

// GPTQModel tells GPTQ from AWQ by it.
void WarnOfMissingGIdx(Judgement& j) {
  const auto& modules = j.stored.all();
  const auto first = std::ranges::find_if(modules, [](const StoredModule& module) {
    return module.storage == Storage::kGptq && module.Find("g_idx") == nullptr;
  });
  if (first == modules.end()) return;
  j.Warn("g-idx-missing", first->main().info.name(),
         first->name + " has no g_idx, by which GPTQModel knows GPTQ from AWQ",
         "write it, column k being in group k / group_size");
}

void JudgeFp8(Judgement& j) {
  CheckFp8Config(j);
  WarnOfRaggedBlocks(j);
  CheckCoverage(j, {.compares = false});
}

void JudgeCompressed(Judgement& j) {
  CheckCompressedConfig(j);
  CheckFormats(j, false);
  WarnOfFusedExperts(j);
  CheckCoverage(j, {.rule = NameRule::kCtPlain, .list = j.claim.unquantized});
}

void JudgeAwq(Judgement& j) {
  CheckAwqConfig(j);
  WarnOfFusedExperts(j);
}

void JudgeGptq(Judgement& j) {
  CheckGptqConfig(j);
  WarnOfFusedExperts(j);
  WarnOfMissingGIdx(j);
}

constexpr MethodJudge kMethods[] = {{"fp8", JudgeFp8},
                                    {"compressed-tensors", JudgeCompressed},
                                    {"awq", JudgeAwq},
                                    {"gptq", JudgeGptq}};

void Judge(Judgement& j) {
  WarnFormatMetadata(j);
  JudgeMethod(j, kMethods, "fp8, compressed-tensors, awq, gptq");
  CheckNeverQuantized(j);
  WarnOfRouterBias(j);
  CheckCustomCode(j);
  if (j.spec.num_nextn_predict_layers > 0) {
    j.Note("mtp-ignored", "the MTP module is ignored on loading, and lost on saving", "");
  }
}

}  // namespace

constinit const EngineProfile kTransformers{
    .name = "transformers",
    .version = "4.57 and 5.23",
    .judged = "loaded with it",
    .families = kAllFamilies,
    .schemes = kSchemes,
    .other_reason = "it has no quantizer of this kind",
    .other_nearest = "bf16",
    .negative_scales = "compressed-tensors and AutoAWQ multiply by the scale as it is stored",
    .judge = Judge,
};

}  // namespace tessera
