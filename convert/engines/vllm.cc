#include <algorithm>

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

// 4 bits with quantized activations go to a kernel of its own.
void CheckFp8Activations(Judgement& j, const GroupClaim& experts) {
  if (j.claim.FormatOf(experts) != "pack-quantized" || experts.bits != 4 ||
      !experts.quantizes_inputs || experts.input_type != "float") {
    return;
  }
  constexpr uint64_t kUnit = 256;
  if (j.spec.hidden_size % kUnit != 0 || j.spec.moe_intermediate_size % kUnit != 0) {
    return j.Fatal("w4afp8-width", "",
                   "INT4 with FP8 activations wants hidden_size and moe_intermediate_size in "
                   "multiples of 256; they are " +
                       std::to_string(j.spec.hidden_size) + " and " +
                       std::to_string(j.spec.moe_intermediate_size),
                   "remove input_activations from config.json");
  }
  j.Note("sm90-only", "INT4 weights with FP8 activations are computed on SM90 only",
         "elsewhere remove input_activations from config.json");
}

void JudgeCompressed(Judgement& j) {
  CheckCompressedConfig(j);
  CheckFormats(j, false);
  CheckActivations(j);
  WarnOfGroupSize(j);
  const GroupClaim* experts = GroupOfExperts(j);
  if (experts != nullptr) CheckFp8Activations(j, *experts);
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

bool HasQuantizedMtp(const Judgement& j, Storage storage) {
  return std::ranges::any_of(j.stored.all(), [&](const StoredModule& module) {
    const auto role = j.spec.Parse(module.name + ".weight");
    return module.storage == storage && role && j.spec.IsMtp(*role);
  });
}

// The module's own embedding, which only the first rank of a pipeline has of the main model.
void NoteMtpCopies(Judgement& j) {
  const std::string layer = "model.layers." + std::to_string(j.spec.num_hidden_layers);
  if (j.spec.num_nextn_predict_layers == 0 ||
      j.stored.StorageOf(layer + ".eh_proj") == Storage::kAbsent ||
      j.stored.StorageOf(layer + ".embed_tokens") != Storage::kAbsent) {
    return;
  }
  j.Note("mtp-copies",
         "the MTP module has no embed_tokens of its own: drafts need it with pipeline parallelism, "
         "and in older releases",
         "take it from the original, or serve without pipeline parallelism");
}

void JudgeAwq(Judgement& j) {
  CheckAwqConfig(j);
  if (HasQuantizedMtp(j, Storage::kAwq)) {
    j.Note("awq-mtp", "the MTP module is AWQ, of which vLLM users report that no draft is accepted",
           "serve without speculative decoding, or keep the module in BF16");
  }
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
  WarnOfRouterBias(j);
  CheckJoinedBlocks(j);
  CheckMtp(j, false);
  NoteMtpCopies(j);
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
