#include "convert/quantized_config.h"

#include <algorithm>
#include <map>

#include "convert/engines/ignore_list.h"
#include "quant/int_scheme.h"
#include "quant/quantization_config.h"

namespace tessera {
namespace {

bool IsQuantized(const Decision& d) {
  return d.by == Action::kRepacked ||
         (d.by == Action::kQuantized && d.to != nullptr && d.in_scheme);
}

bool HasMtpExperts(const Source& source, std::span<const Decision> decisions, bool quantized) {
  return std::ranges::any_of(decisions, [&](const Decision& d) {
    return d.by != Action::kDropped && source.spec->IsMtp(d.role) &&
           SetOf(d.role) == kRoutedExperts && IsQuantized(d) == quantized;
  });
}

// With others of its layer into one weight.
bool IsJoined(const TensorRole& role) {
  constexpr ModuleSet kGatesAndUps = kDenseMlp | kSharedExperts;
  if (Contains(kGatesAndUps, role)) return role.module != Module::kDownProj;
  return Contains(kRoutedExperts | kAProjections, role);
}

// A repacked weight by the scheme that would have made it.
std::string_view RepackedName(std::string_view row, const IntFormat& format) {
  if (row == "repack-awq") return "awq";
  if (row == "repack-gptq") return format.bits == 8 ? "gptq8" : "gptq4";
  if (format.bits == 8) return "w8a16";
  return format.symmetric ? "w4a16" : "w4a16-asym";
}

}  // namespace

Result<SchemeInUse> SchemeOf(const SchemeRow& row, std::span<const Decision> decisions) {
  if (!row.repacks) return SchemeInUse{row.engine_name, row.group};
  const IntFormat* format = nullptr;
  for (const Decision& d : decisions) {
    if (d.by != Action::kRepacked) continue;
    const IntFormat& its = dynamic_cast<const IntScheme&>(*d.to).format();
    if (format != nullptr && *format != its) {
      return Fail(
          Error(ErrorCode::kUnsupported, "weights of several formats cannot be repacked together")
              .Of(d.weight->parts[0]->info.name()));
    }
    format = &its;
  }
  if (format == nullptr) {
    return Fail(Error(ErrorCode::kUnsupported, "there are no integer weights to repack")
                    .Next("tessera quantize --scheme w4a16 makes them"));
  }
  return SchemeInUse{RepackedName(row.name, *format), format->group};
}

Result<void> CheckIgnored(const ModelSpec& spec, std::span<const Decision> decisions) {
  std::map<std::pair<int32_t, ModuleSet>, const Decision*> first;
  bool any = false;
  for (const Decision& d : decisions) {
    if (d.by == Action::kDropped || !Contains(kFp8Linears, d.role)) continue;
    any = any || IsQuantized(d);
    if (!IsJoined(d.role)) continue;
    const auto [known, added] = first.try_emplace({d.role.layer, SetOf(d.role)}, &d);
    if (added || IsQuantized(*known->second) == IsQuantized(d)) continue;
    const bool is_left = IsQuantized(*known->second);
    return Fail(
        Error(ErrorCode::kUsage, "--ignore leaves out a part of what engines hold as one weight")
            .Of(spec.NameOf((is_left ? d : *known->second).role))
            .Expected("left out as well, or none of them: " +
                      spec.NameOf((is_left ? *known->second : d).role))
            .Next("one weight are the experts of a layer, q_a_proj with "
                  "kv_a_proj_with_mqa, and gate_proj with up_proj"));
  }
  if (any) return {};
  return Fail(Error(ErrorCode::kUsage, "--ignore leaves nothing to quantize")
                  .Next("tessera cast --to bf16 leaves everything unquantized"));
}

SchemeChoice ChoiceOf(const SchemeInUse& scheme, const Source& source,
                      std::span<const Decision> decisions, const Request& request) {
  SchemeChoice choice{.scheme = scheme.name, .group = scheme.group, .modules = 0};
  ModuleSet left_out = 0;
  for (const Decision& d : decisions) {
    if (d.by == Action::kDropped) continue;
    // Experts of the MTP module are told by `mtp`.
    const bool mtp_expert = source.spec->IsMtp(d.role) && SetOf(d.role) == kRoutedExperts;
    if (!IsQuantized(d) && !mtp_expert) left_out |= SetOf(d.role);
    if (!IsQuantized(d)) continue;
    choice.modules |= SetOf(d.role);
    if (const auto* ints = dynamic_cast<const IntScheme*>(d.to))
      choice.scale = ints->format().scale;
  }
  choice.in_part = choice.modules & left_out;
  if (HasMtpExperts(source, decisions, true)) choice.mtp = MtpWeights::kQuantized;
  if (HasMtpExperts(source, decisions, false)) choice.mtp = MtpWeights::kFloat;
  choice.negative_scales = request.quantize->search == Search::kMseSigned;
  choice.ranks = request.mp;
  return choice;
}

Result<void> DescribeQuantized(const SchemeInUse& scheme, const Source& source,
                               std::span<const Decision> decisions, const EngineProfile* engine,
                               ConfigEdits& edits) {
  QuantizationRequest request{.scheme = scheme.name, .group = scheme.group};
  std::vector<std::string> unquantized;
  for (const Decision& d : decisions) {
    if (d.by == Action::kDropped || IsQuantized(d) || !Contains(kFp8Linears, d.role)) continue;
    std::string name = source.spec->NameOf(d.role);
    unquantized.push_back(name.substr(0, name.rfind('.')));
  }
  std::ranges::sort(unquantized);
  request.unquantized = SpellUnquantized(*source.spec, scheme.name, unquantized);
  request.group_on_top = engine != nullptr && engine->name == "vllm-ascend";
  edits.set_quantization = true;
  TESSERA_ASSIGN(edits.quantization, QuantizationConfig(request));
  edits.extra = QuantizationKeys(scheme.name, HasMtpExperts(source, decisions, true));
  return {};
}

std::vector<PlanText> QuantizedTexts(const SchemeInUse& scheme, const Source& source,
                                     std::span<const Decision> decisions,
                                     std::span<const PlanTensor> tensors) {
  std::vector<QuantizationFile> files;
  if (scheme.name == "trtllm-w4a8") {
    files = TensorRtLlmFiles(*source.spec, HasMtpExperts(source, decisions, true));
  } else if (scheme.name == "ascend-w8a8-dynamic") {
    std::vector<DescribedTensor> described;
    for (const PlanTensor& tensor : tensors) {
      const bool quantized = tensor.by == Action::kQuantized || tensor.by == Action::kRepacked;
      described.push_back({tensor.info.name(), quantized});
    }
    files.push_back(AscendDescription(described));
  }
  std::vector<PlanText> texts;
  for (QuantizationFile& file : files)
    texts.push_back({std::move(file.name), std::move(file.text)});
  return texts;
}

std::string_view ShardStem(std::string_view scheme) {
  return scheme == "ascend-w8a8-dynamic" ? "quant_model_weights" : kModelStem;
}

}  // namespace tessera
