#include <algorithm>

#include "convert/engines/rules.h"

namespace tessera {
namespace {

bool IsQuantized(Storage storage) {
  return storage != Storage::kFloat && storage != Storage::kUnknown && storage != Storage::kAbsent;
}

const StoredModule* FirstQuantized(const Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    if (IsQuantized(module.storage)) return &module;
  }
  return nullptr;
}

void CheckFamily(Judgement& j) {
  const auto& families = j.engine.families;
  if (std::ranges::find(families, j.spec.family()) != families.end()) return;
  j.Fatal("model-refused", "",
          std::string(j.engine.name) + " " + std::string(j.engine.version) +
              " is not known to load " + std::string(Name(j.spec.family())) + " (" +
              j.spec.model_type() + ")",
          "choose another engine: tessera engines");
}

void CheckWhole(Judgement& j) {
  if (j.checkpoint.ranks() == 0 || j.engine.loads_ranks) return;
  j.Fatal("cut-for-ranks", "",
          "the files are cut for " + std::to_string(j.checkpoint.ranks()) +
              " ranks of DeepSeek's demo, under its names",
          "put them together: tessera reshard IN OUT --names hf");
}

void CheckScales(Judgement& j) {
  uint64_t lacking = 0;
  const StoredModule* first = nullptr;
  for (const StoredModule& module : j.stored.all()) {
    if (module.storage != Storage::kNoScale) continue;
    if (lacking++ == 0) first = &module;
  }
  if (lacking == 0) return;
  j.Fatal("scale-missing", first->main().info.name(),
          std::to_string(lacking) + " quantized weights have no scale: they would load as garbage",
          "check the download: tessera inspect --check");
}

void CheckClaim(Judgement& j) {
  const StoredModule* quantized = FirstQuantized(j);
  if (!j.claim.origin.empty() && quantized == nullptr) {
    j.Fatal("config-left-over", "",
            j.claim.origin + " says quantization is " + j.claim.Describe() +
                ", but every weight is unquantized: the engine waits for codes and scales",
            j.claim.origin == "config.json" ? "remove quantization_config from config.json"
                                            : "remove " + j.claim.origin);
  }
  if (j.claim.origin.empty() && j.files.description.empty() && quantized != nullptr) {
    j.Fatal("config-missing", quantized->main().info.name(),
            "weights are quantized (" + std::string(Name(quantized->storage)) +
                ") and config.json has no quantization_config: codes would be read as values",
            "put the quantization_config of the original back");
  }
}

bool IsBlock128(const QuantClaim& claim) {
  return claim.block.size() == 2 && claim.block[0] == 128 && claim.block[1] == 128;
}

// What compressed-tensors' own reader of the config refuses.
void CheckGroupArgs(Judgement& j, const GroupClaim& group) {
  if (!group.unknown_keys.empty()) {
    j.Fatal("config-key", "",
            "a config group has the key " + QuoteJson(group.unknown_keys[0]) +
                ", and the loader permits no unknown ones",
            "remove it from config.json");
  }
  if (!group.newer_key.empty()) {
    j.Warn("newer-key", "",
           "a config group has the key " + QuoteJson(group.newer_key) +
               ", which readers of 2025 and before refuse, whatever its value",
           "remove it from config.json");
  }
  const bool grouped = group.strategy.ends_with("group");
  const bool columns = group.group_size.value_or(-1) > 0;
  if (grouped != columns || (group.names_block && group.strategy != "block")) {
    j.Fatal("config-key", "",
            "weights have strategy " + group.strategy + " with " +
                (grouped != columns
                     ? "group_size " + (group.group_size ? std::to_string(*group.group_size)
                                                         : std::string("null"))
                     : std::string("a block_structure")) +
                ", which the loader refuses",
            "write group_size with strategy group, block_structure with strategy block");
  }
}

void CheckGroupScheme(Judgement& j, const GroupClaim& group) {
  const bool packed = j.claim.FormatOf(group) == "pack-quantized";
  if (packed && group.bits != 4 && group.bits != 8) {
    j.Fatal("bits-refused", "",
            "pack-quantized weights of " + std::to_string(group.bits.value_or(0)) +
                " bits: experts load with 4 or 8",
            "quantize again: tessera quantize --scheme w4a16");
  }
  if (!group.actorder.empty() && group.actorder != "static" && group.actorder != "weight") {
    j.Fatal("act-order", "", "actorder is " + group.actorder + ", which engines no longer load",
            "quantize again without activation order");
  }
  if (packed && group.strategy == "channel" && !group.names_group_size) {
    j.Warn("group-size-null", "",
           "group_size is null with strategy channel: vLLM of August 2026 and SGLang compare it "
           "with -1",
           "write \"group_size\": -1");
  }
}

}  // namespace

void CheckModel(Judgement& j) {
  CheckFamily(j);
  CheckWhole(j);
  CheckScales(j);
  CheckClaim(j);
}

void JudgeMethod(Judgement& j, std::span<const MethodJudge> methods, std::string_view known) {
  if (j.claim.origin.empty() || j.HasFatal()) return;
  const auto row = std::ranges::find(methods, j.claim.method, &MethodJudge::method);
  if (row != methods.end()) return row->judge(j);
  j.Fatal(
      "method-refused", "",
      "the quantization method of " + j.claim.origin + " is " +
          (j.claim.method.empty() ? "missing" : QuoteJson(j.claim.method)) +
          ", of which no rule is known for this engine; it is known to read: " + std::string(known),
      "convert for this engine: tessera engines lists what it loads");
}

void RequireKeys(Judgement& j, std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) {
    // Alternatives are written with a bar between them.
    const size_t bar = key.find('|');
    const auto has = [&](std::string_view name) {
      return j.claim.object.is_object() && j.claim.object.contains(std::string(name));
    };
    if (has(key.substr(0, bar)) || (bar != std::string_view::npos && has(key.substr(bar + 1)))) {
      continue;
    }
    j.Fatal("config-key", "",
            "quantization_config has no " + std::string(key.substr(0, bar)) +
                ", which the loader asks for",
            "add it to config.json");
  }
}

void CheckFp8Config(Judgement& j) {
  constexpr std::string_view kKeys[] = {"activation_scheme"};
  RequireKeys(j, kKeys);
  const StoredModule* block = FirstStoredAs(j, kAllLinears, Storage::kFp8Block);
  if (block != nullptr && j.claim.block.empty()) {
    j.Fatal("block-size-missing", block->main().info.name(),
            "weights have a scale a block and quantization_config has no weight_block_size: the "
            "engine takes that for one scale a tensor",
            "add \"weight_block_size\": [128, 128]");
  } else if (block != nullptr && !IsBlock128(j.claim)) {
    j.Fatal("block-size", block->main().info.name(),
            "weight_block_size is " + j.claim.object["weight_block_size"].dump() +
                "; kernels for these models take 128 x 128",
            "cast to BF16 and back: tessera cast --to fp8");
  }
  if (!j.claim.block.empty() && j.claim.activation_scheme == "static") {
    j.Fatal("activation-scheme", "",
            "activation_scheme is static: blocks of weights go with dynamic activations only",
            "write \"activation_scheme\": \"dynamic\"");
  }
  if (const std::string fmt = j.claim.object.value("fmt", Json("e4m3")).is_string()
                                  ? j.claim.object.value("fmt", Json("e4m3")).get<std::string>()
                                  : "";
      fmt != "e4m3") {
    j.Fatal("fp8-format", "", "fmt is " + QuoteJson(fmt) + "; these models come in e4m3",
            "cast to BF16 and back: tessera cast --to fp8");
  }
}

void CheckGptqConfig(Judgement& j) {
  constexpr std::string_view kKeys[] = {"bits", "group_size", "desc_act", "sym"};
  RequireKeys(j, kKeys);
  if (j.claim.symmetric == false) {
    j.Fatal("gptq-asymmetric", "",
            "sym is false: zero points of experts are not loaded, 8 or 128 is taken for all",
            "quantize again: tessera quantize --scheme gptq4, or awq for zero points");
  }
  if (j.claim.bits && *j.claim.bits != 4 && *j.claim.bits != 8) {
    j.Fatal("bits-refused", "", "GPTQ of " + std::to_string(*j.claim.bits) + " bits; 4 and 8 load",
            "quantize again: tessera quantize --scheme gptq4");
  }
  if (j.claim.desc_act == true && j.claim.group_size.value_or(-1) != -1) {
    j.Fatal("act-order", "", "desc_act is true with groups, which engines no longer load",
            "quantize again with desc_act false");
  }
  const auto lm_head = j.claim.object.find("lm_head");
  if (lm_head != j.claim.object.end() && *lm_head == true &&
      j.stored.StorageOf("lm_head") == Storage::kFloat) {
    j.Fatal("stored-otherwise", "lm_head.weight",
            "lm_head is unquantized, config.json says that it is GPTQ", "write \"lm_head\": false");
  }
  if (!j.HasFatal()) CheckGeometry(j);
  WarnOfGroupSize(j);
  if (j.claim.desc_act != true) CheckColumnOrder(j);
  if (j.claim.symmetric == true) CheckMiddleZeros(j);
  if (j.claim.checkpoint_format == "gptq_v2") {
    j.Warn("gptq-v2", "",
           "checkpoint_format is gptq_v2: zeros are stored as they are, and kernels that add one, "
           "as for v1, are off by one",
           "write v1: tessera quantize --scheme gptq4");
  }
}

void CheckAwqConfig(Judgement& j) {
  constexpr std::string_view kKeys[] = {"bits|w_bit", "group_size|q_group_size", "zero_point"};
  RequireKeys(j, kKeys);
  if (j.claim.bits && *j.claim.bits != 4) {
    j.Fatal("bits-refused", "", "AWQ of " + std::to_string(*j.claim.bits) + " bits; 4 load",
            "quantize again: tessera quantize --scheme awq");
  }
  if (!j.claim.version.empty() && j.claim.version != "gemm" && j.claim.version != "GEMM") {
    j.Fatal("awq-version", "",
            "version is " + QuoteJson(j.claim.version) +
                ": its words lie along the other side of the weight, engines read gemm only",
            "quantize again: tessera quantize --scheme awq");
  }
  if (!j.HasFatal()) CheckGeometry(j);
  WarnOfGroupSize(j);
}

void CheckCompressedConfig(Judgement& j) {
  if (j.claim.groups.empty()) {
    j.Fatal("config-key", "", "quantization_config has no config_groups", "quantize again");
  }
  for (const GroupClaim& group : j.claim.groups) {
    CheckGroupArgs(j, group);
    CheckGroupScheme(j, group);
  }
  if (!j.HasFatal()) CheckGeometry(j);
  for (const StoredModule& module : j.stored.all()) {
    if (module.storage != Storage::kFp8Block || module.Find("weight_scale_inv") == nullptr)
      continue;
    return j.Fatal("ct-scale-name", module.main().info.name(),
                   "a block FP8 weight has weight_scale_inv under compressed-tensors, which looks "
                   "for weight_scale: it would load without its scale",
                   "cast what is not quantized to BF16, or write quant_method fp8");
  }
}

void CheckFormats(Judgement& j, bool global_only) {
  constexpr std::string_view kFormats[] = {"pack-quantized", "int-quantized", "float-quantized",
                                           "naive-quantized"};
  for (const GroupClaim& group : j.claim.groups) {
    const std::string& format = j.claim.FormatOf(group);
    if (format.empty()) {
      return j.Fatal("format-missing", "",
                     "quantization_config does not say how weights are stored: it has no format, "
                     "and no kernel is chosen",
                     "write the format that they have: \"pack-quantized\", \"int-quantized\" or "
                     "\"float-quantized\"");
    }
    if (std::ranges::find(kFormats, format) == std::end(kFormats)) {
      return j.Warn("format-unknown", "",
                    "format is " + QuoteJson(format) + ", which is not judged here",
                    "see whether the engine's own documentation has it for these models");
    }
    if (global_only && format != j.claim.format) {
      return j.Fatal("format-of-group", "",
                     "a group's format is " + QuoteJson(format) +
                         ", and of formats only the one "
                         "of quantization_config itself is read, which is " +
                         (j.claim.format.empty() ? "missing" : QuoteJson(j.claim.format)),
                     "write it at the top of quantization_config, where all groups share one");
    }
  }
}

void CheckActivations(Judgement& j) {
  const StoredModule* experts = FirstStoredAs(j, kRoutedExperts, Storage::kInt8Channel);
  const auto& modules = j.stored.all();
  const bool has_scales = std::ranges::any_of(
      modules, [](const StoredModule& m) { return m.Find("input_scale") != nullptr; });
  for (const GroupClaim& group : j.claim.groups) {
    const std::string& format = j.claim.FormatOf(group);
    const bool integers = format == "int-quantized";
    std::string what;
    if (integers && !group.quantizes_inputs) {
      what =
          "int-quantized weights without input_activations: INT8 weights are multiplied with "
          "INT8 activations only";
    } else if (integers && experts != nullptr && &group == GroupOfExperts(j) &&
               (!group.dynamic_inputs || group.input_strategy != "token")) {
      what = "activations of INT8 experts are not dynamic, a scale a token, as their kernel wants";
    } else if ((integers || format == "float-quantized") && group.quantizes_inputs &&
               !group.dynamic_inputs && !has_scales) {
      what = "activations are static, and no weight has an input_scale";
    }
    if (what.empty()) continue;
    return j.Fatal("activations", "", std::move(what),
                   "write input_activations that are dynamic with strategy token");
  }
}

const GroupClaim* GroupOfExperts(const Judgement& j) {
  const std::string prefix =
      "model.layers." + std::to_string(j.spec.first_k_dense_replace) + ".mlp.experts";
  return j.claim.GroupFor({prefix + ".0.gate_proj", prefix});
}

bool HasAsymmetricExperts(const Judgement& j) {
  const GroupClaim* group = GroupOfExperts(j);
  return group != nullptr && !group->symmetric &&
         FirstStoredAs(j, kRoutedExperts, Storage::kPacked) != nullptr;
}

void ForbidQuantizationConfig(Judgement& j, std::string_view file) {
  if (j.claim.origin.empty()) return;
  j.Fatal("two-configs", "",
          "config.json has a quantization_config (" + j.claim.Describe() + ") beside " +
              std::string(file) + ", which is to be the only one",
          "remove quantization_config from config.json");
}

}  // namespace tessera
