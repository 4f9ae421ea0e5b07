#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr Family kFamilies[] = {Family::kV3, Family::kV31, Family::kV32};

constexpr std::string_view kNoIntegers =
    "of integers it loads INT4 experts beside FP8 alone, and the layout of the former engine build "
    "is one no release loads";

constexpr SchemeRule kSchemes[] = {
    {.scheme = "bf16"},
    {.scheme = "fp8-block"},
    {.scheme = "fp8-block-ue8m0"},
    {.scheme = "fp8-channel",
     .may = kAllButKvB,
     .reason = "kv_b_proj is dequantized by blocks or taken as BF16"},
    {.scheme = "w4a16", .loads = false, .reason = kNoIntegers, .nearest = "trtllm-w4a8"},
    {.scheme = "w4a16-asym", .loads = false, .reason = kNoIntegers, .nearest = "trtllm-w4a8"},
    {.scheme = "w4afp8",
     .loads = false,
     .reason = "it needs hf_quant_config.json and quant_cfg.json, and no quantization_config",
     .nearest = "trtllm-w4a8, the same tensors"},
    {.scheme = "awq",
     .loads = false,
     .reason = "it has no weight-only INT4 experts",
     .nearest = "trtllm-w4a8"},
    {.scheme = "gptq4",
     .loads = false,
     .reason = "it has no weight-only INT4 experts",
     .nearest = "trtllm-w4a8"},
    {.scheme = "trtllm-w4a8",
     .may = kRoutedExperts,
     .must = kRoutedExperts,
     .groups = "128",
     .reason = "its mixed format knows INT4 experts in FP8 models, and no others"},
};

void JudgeFp8(Judgement& j) {
  CheckFp8Config(j);
  CheckCoverage(j, {.compares = false});
}

void JudgeCompressed(Judgement& j) {
  for (const GroupClaim& group : j.claim.groups) {
    if (group.type != "int") continue;
    j.Fatal("integers-refused", "",
            "compressed-tensors with integer weights: " + std::string(kNoIntegers),
            "quantize again: tessera quantize --scheme trtllm-w4a8");
  }
  CheckCompressedConfig(j);
  RefuseKvBStoredAs(j, Storage::kFp8Channel);
}

// quant_cfg.json names the layers one by one: what it leaves out is taken for unquantized.
void CheckLayerTable(Judgement& j) {
  const Json* table = j.files.quant_cfg ? &*j.files.quant_cfg : &j.claim.object;
  const auto layers = table->find("quantized_layers");
  for (uint32_t layer = 0; layer < j.spec.total_layers(); ++layer) {
    const std::string module = "model.layers." + std::to_string(layer) + ".mlp.experts";
    if (j.stored.StorageOf(module + ".0.gate_proj") != Storage::kInt4Bytes) continue;
    const Json* entry = layers != table->end() && layers->is_object() && layers->contains(module)
                            ? &layers->at(module)
                            : nullptr;
    if (entry != nullptr && entry->is_object() && entry->contains("quant_algo") &&
        entry->at("quant_algo") == "W4A8_AWQ") {
      continue;
    }
    const std::string what = module + " is INT4, and quant_cfg.json " +
                             (entry == nullptr ? "does not list it" : "calls it something else");
    const std::string remedy = "list every layer: tessera quantize --scheme trtllm-w4a8 does";
    if (j.spec.IsMtpLayer(static_cast<int32_t>(layer))) {
      j.Warn("quant-cfg-incomplete", "", what + "; the MTP module does not load", remedy);
    } else {
      j.Fatal("quant-cfg-incomplete", "", what, remedy);
    }
    return;
  }
}

void JudgeMixed(Judgement& j) {
  if (!j.files.quant_cfg && !j.claim.object.contains("quantized_layers")) {
    j.Fatal("quant-cfg-missing", "",
            "quant_algo is MIXED_PRECISION and there is no quant_cfg.json that says which layer is "
            "what",
            "write it: tessera quantize --scheme trtllm-w4a8");
  }
  CheckLayerTable(j);
  CheckInputScales(j, true);
  CheckCoverage(j, {});
}

constexpr MethodJudge kMethods[] = {{"fp8", JudgeFp8},
                                    {"compressed-tensors", JudgeCompressed},
                                    {"MIXED_PRECISION", JudgeMixed},
                                    {"FP8_BLOCK_SCALES", JudgeFp8}};

void Judge(Judgement& j) {
  const bool mixed = FirstStoredAs(j, kRoutedExperts, Storage::kInt4Bytes) != nullptr;
  if (mixed && j.claim.origin == "config.json" && j.files.hf_quant_config) {
    ForbidQuantizationConfig(j, "hf_quant_config.json");
  }
  if (mixed && !j.files.hf_quant_config) {
    j.Fatal("hf-quant-config-missing", "",
            "INT4 experts without hf_quant_config.json, the only way to say so here",
            "write it: tessera quantize --scheme trtllm-w4a8");
  }
  JudgeMethod(j, kMethods, "fp8, compressed-tensors of FP8, MIXED_PRECISION");
  CheckNeverQuantized(j);
  WarnOfRouterBias(j);
  CheckJoinedBlocks(j);
  CheckMtp(j, false);
  CheckTpDegree(j);
}

}  // namespace

constinit const EngineProfile kTensorRtLlm{
    .name = "tensorrt-llm",
    .version = "main of 2025",
    .judged = "single files of its source, PyTorch backend",
    .families = kFamilies,
    .schemes = kSchemes,
    .other_reason = kNoIntegers,
    .other_nearest = "fp8-block",
    .judge = Judge,
};

}  // namespace tessera
