#include <algorithm>

#include "convert/engines/families.h"
#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr EngineNames kNames{.a_projections = "fused_qkv_a_proj_with_mqa",
                             .gate_up = "gate_up_proj",
                             .mtp_layer = "model.decoder"};

constexpr std::string_view kPackedReason =
    "MLA reads kv_b_proj.weight and joins the a-projections as plain rows: neither may be packed";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block"},
    {.scheme = "fp8-block-ue8m0"},
    {.scheme = "fp8-channel"},
    {.scheme = "w4a16",
     .may = kRoutedExperts,
     .groups = "channel 32 64 128",
     .reason = kPackedReason},
    {.scheme = "w4a16-asym",
     .loads = false,
     .reason = "zero points of experts are loaded untransposed",
     .nearest = "w4a16"},
    {.scheme = "w8a16",
     .may = kRoutedExperts,
     .groups = "channel 32 64 128",
     .reason = kPackedReason},
    {.scheme = "w8a8",
     .must = kRoutedExperts,
     .mtp = MtpRule::kQuantized,
     .flags = "--quantization w8a8_int8",
     .reason = "w8a8_int8 takes all experts for quantized"},
    {.scheme = "int8-block",
     .must = kRoutedExperts,
     .mtp = MtpRule::kQuantized,
     .reason = "blockwise_int8 takes all experts for quantized"},
    {.scheme = "int8-channel",
     .must = kRoutedExperts,
     .mtp = MtpRule::kQuantized,
     .reason = "w8a8_int8 takes all experts for quantized"},
    {.scheme = "w4afp8",
     .may = kRoutedExperts,
     .must = kRoutedExperts,
     .mtp = MtpRule::kQuantized,
     .groups = "128",
     .reason = "W4AFP8 is INT4 experts, all of them, with block FP8 for the rest; SM90 only"},
    {.scheme = "awq",
     .must = kAProjections,
     .groups = "32 64 128",
     .reason = "the a-projections are joined along AWQ's dimension whether they are AWQ or not"},
    {.scheme = "gptq4",
     .may = kRoutedExperts,
     .must = kRoutedExperts,
     .mtp = MtpRule::kQuantized,
     .groups = "32 64 128",
     .reason = "a quantized kv_b_proj is read as AWQ, the a-projections are joined along the wrong "
               "dimension, and experts are all taken for quantized"},
    {.scheme = "gptq8",
     .may = kRoutedExperts,
     .must = kRoutedExperts,
     .mtp = MtpRule::kQuantized,
     .groups = "32 64 128",
     .reason = "a quantized kv_b_proj is read as AWQ, the a-projections are joined along the wrong "
               "dimension, and experts are all taken for quantized"},
    {.scheme = "ascend-w8a8-dynamic",
     .loads = false,
     .reason = "quant_model_description.json is for NPUs there",
     .nearest = "int8-channel"},
    {.scheme = "trtllm-w4a8",
     .may = kRoutedExperts,
     .must = kRoutedExperts,
     .mtp = MtpRule::kQuantized,
     .groups = "128",
     .reason = "MIXED_PRECISION is read as w4afp8"},
};

void JudgeFp8(Judgement& j) {
  CheckFp8Config(j);
  CheckUe8m0(j);
  std::vector<std::string> list;
  // It adds every entry with and without "model.".
  for (const std::string& entry : j.claim.unquantized) {
    const std::string base = entry.starts_with("model.") ? entry.substr(6) : entry;
    list.push_back(base);
    list.push_back("model." + base);
  }
  CheckCoverage(j, {.names = kNames,
                    .rule = NameRule::kFp8Sglang,
                    .list = std::move(list),
                    .rewrites_mtp = true});
}

// Releases up to July 2026 match plain entries anywhere in a name, 0.5.23 at its end.
void WarnOfSubstrings(Judgement& j) {
  const auto list = NameList::Parse(j.claim.unquantized);
  if (!list) return;
  for (const EngineModule& module : ModulesAsked(j.spec, kNames)) {
    const auto now = IsUnquantized(NameRule::kCtSglang, module, *list);
    const auto before = IsUnquantized(NameRule::kCtSglangSubstring, module, *list);
    if (now.value_or(true) || !before.value_or(true)) continue;
    return j.Warn("list-substring", "",
                  "releases before 0.5.23 match plain entries of the list anywhere in a name, and "
                  "so take " +
                      module.name + " for unquantized",
                  "spell entries as patterns: \"re:.*\\\\.mlp\\\\.gate$\"");
  }
}

void JudgeCompressed(Judgement& j) {
  CheckCompressedConfig(j);
  CheckFormats(j, true);
  WarnOfGroupSize(j);
  if (HasAsymmetricExperts(j)) {
    j.Fatal("asymmetric-experts", "",
            "experts have zero points, which are loaded untransposed: "
            "shapes do not fit",
            "quantize symmetrically: tessera quantize --scheme w4a16");
  }
  const bool fp8_linears = j.claim.object.contains("linear_fp8_config");
  const StoredModule* packed = FirstStoredAs(j, kAProjections | kKvB, Storage::kPacked);
  if (packed != nullptr && !fp8_linears) {
    j.Fatal("packed-attention", packed->main().info.name(),
            packed->name + " is pack-quantized: " + std::string(kPackedReason),
            "leave attention unquantized: tessera quantize --experts-only");
  }
  const bool int8_experts = FirstStoredAs(j, kRoutedExperts, Storage::kInt8Channel) != nullptr;
  if (int8_experts) {
    j.NeedFlag("--quantization w8a8_int8",
               "INT8 experts of a compressed-tensors checkpoint load on NPUs only; as w8a8_int8 "
               "the same files load on GPUs");
  }
  WarnOfSubstrings(j);
  if (fp8_linears) return;
  CheckCoverage(j, {.names = kNames,
                    .rule = int8_experts ? NameRule::kInt8Sglang : NameRule::kCtSglang,
                    .list = j.claim.unquantized,
                    .rewrites_mtp = !int8_experts,
                    .needs_target = !int8_experts});
}

void JudgeAwq(Judgement& j) {
  CheckAwqConfig(j);
  const auto dtype = j.config.find(j.config.contains("dtype") ? "dtype" : "torch_dtype");
  if (dtype != j.config.end() && *dtype == "bfloat16") {
    j.Note("awq-dtype",
           "config.json asks for bfloat16, and AWQ kernels other than Marlin's are for float16",
           "where Marlin is not chosen start the server with --quantization moe_wna16, or --dtype "
           "float16");
  }
  const StoredModule* plain = FirstStoredAs(j, kAProjections, Storage::kFloat);
  if (plain != nullptr && j.spec.q_lora_rank != 0) {
    j.Fatal("awq-a-projections", plain->main().info.name(),
            plain->name +
                " is unquantized: q_a_proj and kv_a_proj_with_mqa are joined along "
                "AWQ's dimension in every layer, which plain weights do not fit",
            "quantize attention too (--all-linears), or take another scheme: w4a16");
  }
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kAwqSglang, .list = j.claim.unquantized});
}

void JudgeGptq(Judgement& j) {
  CheckGptqConfig(j);
  const StoredModule* attention = FirstStoredAs(j, kAProjections | kKvB, Storage::kGptq);
  if (attention != nullptr) {
    j.Fatal("gptq-attention", attention->main().info.name(),
            attention->name +
                " is GPTQ: kv_b_proj would be read as AWQ, and the a-projections "
                "joined along the wrong dimension",
            "leave attention unquantized: tessera quantize --experts-only");
  }
  CheckCoverage(j, {.names = kNames,
                    .rule = NameRule::kGptqSglang,
                    .list = j.claim.dynamic,
                    .kind = NameList::Kind::kGptqDynamic});
}

void JudgeBlockInt8(Judgement& j) {
  constexpr std::string_view kKeys[] = {"activation_scheme", "weight_block_size"};
  RequireKeys(j, kKeys);
  if (j.claim.activation_scheme == "static") {
    j.Fatal("activation-scheme", "", "activation_scheme is static, which blockwise_int8 refuses",
            "write \"activation_scheme\": \"dynamic\"");
  }
  CheckCoverage(j,
                {.names = kNames, .rule = NameRule::kBlockInt8Sglang, .list = j.claim.unquantized});
}

void JudgeInt8(Judgement& j) {
  CheckCoverage(j, {.names = kNames, .rule = NameRule::kInt8Sglang, .list = j.claim.unquantized});
}

void JudgeW4aFp8(Judgement& j) {
  CheckInputScales(j, false);
  CheckCoverage(j, {.names = kNames});
}

constexpr MethodJudge kMethods[] = {
    {"fp8", JudgeFp8},       {"compressed-tensors", JudgeCompressed}, {"awq", JudgeAwq},
    {"gptq", JudgeGptq},     {"blockwise_int8", JudgeBlockInt8},      {"w8a8_int8", JudgeInt8},
    {"w4afp8", JudgeW4aFp8}, {"MIXED_PRECISION", JudgeW4aFp8},
};

// Since 0.5.23 it knows by itself that experts of these two differ from the shared one.
bool KnowsThatSharedDiffers(const Judgement& j) {
  if (j.claim.Is("w4afp8") || j.claim.Is("MIXED_PRECISION")) return true;
  const GroupClaim* group = GroupOfExperts(j);
  return group != nullptr && group->bits == 4 && group->symmetric &&
         j.claim.format == "pack-quantized" &&
         std::ranges::find(group->targets, "Linear") != group->targets.end();
}

void CheckSharedExpertFusion(Judgement& j) {
  if (j.spec.n_routed_experts != 256 || j.spec.n_shared_experts != 1) return;
  const std::string layer = "model.layers." + std::to_string(j.spec.first_k_dense_replace);
  const Storage routed = j.stored.StorageOf(layer + ".mlp.experts.0.gate_proj");
  const Storage shared = j.stored.StorageOf(layer + ".mlp.shared_experts.gate_proj");
  if (routed == shared || shared == Storage::kAbsent || routed == Storage::kAbsent) return;
  const std::string what = "the shared expert is " + std::string(Name(shared)) +
                           " and the routed ones are " + std::string(Name(routed)) +
                           ": run as one more routed expert its weights are dropped with a "
                           "warning, and answers are garbage";
  if (KnowsThatSharedDiffers(j)) {
    j.Note("shared-expert-fusion",
           what +
               "; 0.5.23 knows that of this format, releases before "
               "may not",
           "before 0.5.23 start the server with --disable-shared-experts-fusion");
  } else {
    j.NeedFlag("--disable-shared-experts-fusion", what);
  }
}

// wk's FP8 is decoded by the scale of DeepSeek's name, not by that of compressed-tensors.
void CheckIndexerScale(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    if (!module.name.ends_with(".indexer.wk") || module.storage != Storage::kFp8Block ||
        module.Find("weight_scale_inv") != nullptr) {
      continue;
    }
    return j.Fatal("indexer-quantized", module.main().info.name(),
                   module.name + " is FP8 with a weight_scale; only weight_scale_inv is read there",
                   "keep the indexer as it was: tessera quantize does");
  }
}

void Judge(Judgement& j) {
  if (!j.files.description.empty()) {
    return j.Fatal("npu-only", "", "quant_model_description.json makes it an NPU checkpoint",
                   "quantize for GPUs: tessera quantize --scheme int8-channel");
  }
  JudgeMethod(j, kMethods, "fp8, compressed-tensors, awq, gptq, blockwise_int8, w8a8_int8, w4afp8");
  CheckSharedExpertFusion(j);
  CheckNeverQuantized(j);
  CheckIndexer(j);
  CheckIndexerScale(j);
  WarnOfRouterBias(j);
  CheckJoinedBlocks(j);
  CheckMtp(j, true);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kSglang{
    .name = "sglang",
    .version = "0.5.23",
    .judged = "its source; its name rules run against ours",
    .families = kAllFamilies,
    .schemes = kSchemes,
    .fuses_shared_expert = true,
    .judge = Judge,
};

}  // namespace tessera
