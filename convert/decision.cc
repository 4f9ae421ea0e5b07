#include "convert/decision.h"

#include <algorithm>
#include <cmath>

#include "convert/mtp_split.h"
#include "quant/module_set.h"
#include "quant/reference.h"
#include "quant/repack.h"

namespace tessera {
namespace {

// A module is named by its weight without ".weight".
std::string ModuleOf(const std::string& weight) { return weight.substr(0, weight.rfind('.')); }

}  // namespace

Dtype TargetDtype(CastTo to) {
  switch (to) {
    case CastTo::kF16:
      return Dtype::kF16;
    case CastTo::kF32:
      return Dtype::kF32;
    default:
      return Dtype::kBF16;
  }
}

Result<Decider> Decider::Make(const Request& request, const Source& source, const Source* scales) {
  Decider decider(request, source, scales);
  TESSERA_TRY(decider.CheckRequest());
  TESSERA_TRY(decider.MakeTargets());
  return decider;
}

Result<void> Decider::MakeTargets() {
  if (request_->to == CastTo::kFp8) {
    Fp8BlockArgs args;
    args.scale_format = request_->scale_format;
    args.scales_given = scales_ != nullptr;
    if (scales_ != nullptr) {
      args.block_rows = scales_->quant.block_rows;
      args.block_cols = scales_->quant.block_cols;
    }
    targets_.push_back(MakeFp8BlockScheme(args));
  }
  if (!request_->quantize) return {};
  const QuantizeRequest& quantize = *request_->quantize;
  TESSERA_TRY(CheckQuantize());
  if (quantize.scheme->repacks) return CheckRepack();  // targets are made as formats are met
  if (quantize.calibration) {
    TESSERA_ASSIGN(calibration_, Calibration::Read(*quantize.calibration));
  }
  targets_.push_back(quantize.scheme->make(
      {.search = quantize.search, .input_scale = quantize.input_scale, .like = {}}));
  if (quantize.search == Search::kMseSigned &&
      dynamic_cast<const IntScheme*>(targets_[0].get()) == nullptr) {
    return Fail(
        Error(ErrorCode::kUsage, "--search mse-signed: " + std::string(quantize.scheme->name) +
                                     " has no scales to search for")
            .Next("leave out --search"));
  }
  if (quantize.scheme->rest_stays_fp8) targets_.push_back(MakeFp8BlockScheme({}));
  modules_ = quantize.scheme->modules;
  if (quantize.reach == Reach::kExpertsOnly) modules_ = kRoutedExperts;
  if (quantize.reach == Reach::kAllLinears && modules_ == kRoutedExperts) {
    modules_ = kAllButKvB;
  }
  if (quantize.engine != nullptr) {
    modules_ = quantize.engine->Limit(quantize.scheme->engine_name, modules_);
  }
  if (quantize.scheme->needs_input_scale && modules_ != kRoutedExperts) {
    return Fail(Error(ErrorCode::kUsage, std::string(quantize.scheme->name) +
                                             " has scales of activations for experts only")
                    .Next("leave out --all-linears: the other linears stay FP8"));
  }
  return ReadIgnored();
}

Result<void> Decider::ReadIgnored() {
  for (const std::string& expression : request_->quantize->ignore) {
    try {
      ignored_.emplace_back(expression, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error& e) {
      return Fail(Error(ErrorCode::kUsage, "--ignore: not a regular expression: " + expression)
                      .Found(e.what()));
    }
    const bool found = std::ranges::any_of(source_->storage->weights(), [&](const auto& weight) {
      const std::optional<TensorRole> role = source_->spec->Parse(weight.name);
      return role && std::regex_search(ModuleOf(source_->spec->NameOf(*role)), ignored_.back());
    });
    if (found) continue;
    return Fail(Error(ErrorCode::kUsage, "--ignore: found in no module's name: " + expression)
                    .In(source_->checkpoint->dir().string())
                    .Expected("an ECMAScript expression for part of a name, as in "
                              "model.layers.0.self_attn.o_proj")
                    .Next("tessera inspect --tensors lists the names"));
  }
  return {};
}

Result<void> Decider::CheckRequest() const {
  const std::string dir = source_->checkpoint->dir().string();
  const bool has_mtp = source_->spec->num_nextn_predict_layers > 0;
  if (request_->mtp == MtpMode::kOnly && !has_mtp) {
    return Fail(
        Error(ErrorCode::kUnsupported, "this checkpoint has no MTP module to keep").In(dir));
  }
  if (request_->split) TESSERA_TRY(CheckSplit(*source_, request_->split_for));
  if (request_->mtp == MtpMode::kDrop && source_->coverage == Coverage::kMtpOnly) {
    return Fail(Error(ErrorCode::kUnsupported,
                      "this checkpoint is an MTP module alone: without it nothing would be left")
                    .In(dir));
  }
  if (request_->keeps_storage() && source_->checkpoint->gguf_metadata() != nullptr) {
    return Fail(Error(ErrorCode::kUnsupported, "safetensors cannot hold weights as GGUF files do")
                    .In(source_->checkpoint->config_path().string())
                    .Next("cast them: --to bf16"));
  }
  const QuantMethod method = source_->quant.method;
  if (request_->mp != 0 && request_->keeps_storage() && method != QuantMethod::kNone &&
      method != QuantMethod::kFp8Block) {
    return Fail(Error(ErrorCode::kUnsupported,
                      "ranks hold block FP8 or plain weights, and this checkpoint stores others")
                    .In(dir)
                    .Expected("quant_method fp8, or none")
                    .Found(std::string(Name(method)))
                    .Next("cast it to bf16 on the way, with --to bf16"));
  }
  if (scales_ != nullptr && scales_->quant.method != QuantMethod::kFp8Block) {
    return Fail(Error(ErrorCode::kUnsupported, "--scales-from needs a block-FP8 checkpoint")
                    .In(scales_->checkpoint->dir().string())
                    .Expected("quantization_config with quant_method fp8"));
  }
  return {};
}

Result<Decision> Decider::Decide(const StoredWeight& weight) {
  const TensorInfo& info = weight.parts[0]->info;
  const std::optional<TensorRole> role = source_->spec->Parse(weight.name);
  TESSERA_CHECK(role.has_value());  // OpenSource has refused unknown tensors
  Decision decision{.weight = &weight, .role = *role};
  const bool mtp = source_->spec->IsMtp(*role);
  if (request_->mtp == (mtp ? MtpMode::kDrop : MtpMode::kOnly)) {
    decision.by = Action::kDropped;
    decision.rule = mtp ? "mtp-drop" : "mtp-only";
    return decision;
  }
  if (request_->split && mtp) {
    decision.rule = RuleOfModule(*role, request_->split_for);
    if (!decision.rule.empty()) {
      decision.by = Action::kDropped;
      return decision;
    }
  }
  if (request_->mp != 0 && role->part == Part::kBuffer) {
    // Derived data that the demo has no place for.
    decision.by = Action::kDropped;
    decision.rule = "stray-buffer";
    return decision;
  }
  const bool stays = request_->keeps_storage();
  if (role->part == Part::kInputScale && !stays) {
    // Of activations in FP8, which go with the INT4 weights.
    decision.by = Action::kDropped;
    decision.rule = "input-scale";
    return decision;
  }
  if (request_->quantize) {
    TESSERA_TRY(DecideQuantize(decision));
    return decision;
  }
  if (stays) return decision;
  if (weight.scheme == nullptr) {
    return Fail(Error(ErrorCode::kUnsupported, "a weight of a type that cannot be decoded")
                    .Of(info.name())
                    .Expected("F32, F16, BF16, or codes with the scales that config.json describes")
                    .Found(info.Describe()));
  }
  if (request_->to == CastTo::kFp8) {
    TESSERA_TRY(DecideFp8(decision));
    return decision;
  }
  const Dtype target = TargetDtype(request_->to);
  // F32 stays F32: whoever stored a router bias or a norm wide meant it.
  const bool stays_wide = weight.is_plain() && info.dtype() == Dtype::kF32;
  if ((info.dtype() == target || stays_wide) && weight.parts.size() == 1) return decision;
  decision.by = weight.is_plain() ? Action::kCast : Action::kDequantized;
  decision.to = &PlainScheme(stays_wide ? Dtype::kF32 : target, request_->saturate);
  return decision;
}

Result<void> Decider::DecideFp8(Decision& decision) const {
  const StoredWeight& weight = *decision.weight;
  const TensorInfo& info = weight.parts[0]->info;
  if (!IsPlainFloat(info.dtype())) {
    return Fail(Error(ErrorCode::kUnsupported, "the source already holds quantized weights")
                    .Of(info.name())
                    .Found(info.Describe())
                    .Next("cast it to bf16 first, or leave it as it is"));
  }
  if (!Contains(kFp8Linears, decision.role)) return {};
  if (scales_ != nullptr) {
    const StoredWeight* original = scales_->storage->Find(weight.name);
    if (original == nullptr) {
      return Fail(Error(ErrorCode::kMissingTensor, weight.name + " is not in --scales-from")
                      .In(scales_->checkpoint->dir().string())
                      .Next("give the checkpoint that the input was cast from"));
    }
    // What was not quantized in the original is not quantized now.
    if (!original->is_quantized()) return {};
    if (original->rows != weight.rows || original->cols != weight.cols) {
      return Fail(Error(ErrorCode::kWrongShape, "a weight differs in shape from --scales-from")
                      .Of(info.name())
                      .Expected(original->parts[0]->info.Describe())
                      .Found(info.Describe()));
    }
    if (original->parts[0]->info.dtype() != Dtype::kF8E4M3 ||
        original->parts[1]->info.dtype() != Dtype::kF32) {
      return Fail(Error(ErrorCode::kUnsupported, "--scales-from takes F8_E4M3 with F32 scales")
                      .Of(info.name())
                      .Found(original->parts[0]->info.Describe() + " with " +
                             original->parts[1]->info.Describe()));
    }
    decision.scales = original;
  }
  decision.by = Action::kQuantized;
  decision.to = targets_[0].get();
  return {};
}

Result<void> Decider::CheckQuantize() const {
  const QuantizeRequest& quantize = *request_->quantize;
  const std::string scheme(quantize.scheme->name);
  if (request_->mp != 0 && !scheme.starts_with("fp8-block")) {
    return Fail(Error(ErrorCode::kUsage,
                      "--mp belongs to the layout of DeepSeek's demo, which "
                      "knows no " +
                          scheme)
                    .Next("leave out --mp; the demo loads fp8-block and fp8-block-ue8m0"));
  }
  const bool is_block_fp8 = source_->quant.method == QuantMethod::kFp8Block;
  if (is_block_fp8 && scheme == (source_->quant.ue8m0 ? "fp8-block-ue8m0" : "fp8-block")) {
    return Fail(Error(ErrorCode::kUnsupported, "this checkpoint is " + scheme + " already")
                    .In(source_->checkpoint->dir().string())
                    .Next("tessera reshard --shard-size repacks it as it is"));
  }
  if (quantize.search == Search::kMseSigned && quantize.engine == nullptr) {
    std::string engines;
    for (const EngineProfile* engine : Engines()) {
      if (engine->negative_scales.empty()) continue;
      engines.append(engines.empty() ? "" : ", ").append(engine->name);
    }
    return Fail(
        Error(ErrorCode::kUnsupported,
              "mse-signed stores negative scales, which few engines are known to compute with")
            .Expected("--for one of: " + engines)
            .Next("--search mse keeps scales positive"));
  }
  if (quantize.scheme->needs_input_scale && !quantize.input_scale && !quantize.calibration) {
    return Fail(
        Error(ErrorCode::kUsage, scheme + " stores the scale of activations, and none is given")
            .Expected("--calibration FILE or --input-scale X")
            .Next("docs/cli.md describes the file"));
  }
  if (!quantize.input_scale) return {};
  const float stored = reference::DecodeBf16(reference::RoundToBf16(*quantize.input_scale));
  if (!std::isfinite(stored) || stored <= 0) {
    return Fail(Error(ErrorCode::kUsage, "--input-scale is no scale that BF16 holds")
                    .Expected("a number above 0, at most 3.3e38")
                    .Found(std::to_string(*quantize.input_scale)));
  }
  return {};
}

// Everything that is in integers is repacked, and nothing else changes.
Result<void> Decider::CheckRepack() const {
  const QuantizeRequest& quantize = *request_->quantize;
  if (quantize.ignore.empty() && quantize.reach == Reach::kByScheme) return {};
  return Fail(Error(ErrorCode::kUsage,
                    std::string(quantize.scheme->name) + " repacks whatever is stored in integers")
                  .Next("leave out --ignore, --experts-only and --all-linears"));
}

bool Decider::IsReached(const TensorRole& role, const std::string& name) const {
  if (!Contains(modules_, role)) return false;
  const std::string module = ModuleOf(name);
  return std::ranges::none_of(ignored_, [&](const std::regex& expression) {
    return std::regex_search(module, expression);
  });
}

// Gate and up see the same activations; loaders refuse scales that differ.
Result<float> Decider::InputScale(const TensorRole& role) const {
  constexpr float kE4m3Max = 448;
  std::vector<Module> sharing = {role.module};
  if (role.module != Module::kDownProj) sharing = {Module::kGateProj, Module::kUpProj};
  float amax = 0;
  for (const Module module : sharing) {
    TensorRole sibling = role;
    sibling.module = module;
    std::string name = source_->spec->NameOf(sibling);
    name.resize(name.rfind('.'));
    const std::optional<float> found = calibration_->InputAmax(name);
    if (!found) {
      return Fail(Error(ErrorCode::kBadCalibration, "no activations of a linear were measured")
                      .In(request_->quantize->calibration->string())
                      .Of(name)
                      .Next("calibrate on more text, so that every expert is used"));
    }
    amax = std::max(amax, *found);
  }
  return amax / kE4m3Max;
}

const Scheme* Decider::TargetWith(float input_scale) {
  const auto known =
      std::ranges::find(scaled_, input_scale, &std::pair<float, const Scheme*>::first);
  if (known != scaled_.end()) return known->second;
  targets_.push_back(request_->quantize->scheme->make(
      {.search = request_->quantize->search, .input_scale = input_scale, .like = {}}));
  return scaled_.emplace_back(input_scale, targets_.back().get()).second;
}

Result<void> Decider::DecideQuantize(Decision& decision) {
  const StoredWeight& weight = *decision.weight;
  const TensorInfo& info = weight.parts[0]->info;
  const bool plain = !weight.is_quantized();
  const bool linear = Contains(kFp8Linears, decision.role);
  if (!linear && plain) return {};
  if (weight.scheme == nullptr) {
    return Fail(Error(ErrorCode::kUnsupported, "a weight of a type that cannot be decoded")
                    .Of(info.name())
                    .Found(info.Describe()));
  }
  if (request_->quantize->scheme->repacks) {
    if (const auto* from = dynamic_cast<const IntScheme*>(weight.scheme)) {
      return DecideRepack(decision, *from);
    }
  } else if (IsReached(decision.role, source_->spec->NameOf(decision.role))) {
    decision.to = targets_[0].get();
    if (calibration_) {
      TESSERA_ASSIGN(const float scale, InputScale(decision.role));
      decision.to = TargetWith(scale);
    }
    decision.by = Action::kQuantized;
    decision.in_scheme = true;
    Result<void> accepted = decision.to->Accepts(weight.rows, weight.cols);
    if (!accepted) return Fail(std::move(accepted).error().Of(info.name()));
    return KeepIntegers(decision);
  }
  if (linear && request_->quantize->scheme->rest_stays_fp8) {
    if (source_->quant.method == QuantMethod::kFp8Block && !plain) return {};
    decision.to = targets_[1].get();
    decision.by = Action::kQuantized;
  } else if (!plain) {
    // Left as they are they would be misread under the new quantization_config.
    decision.to = &PlainScheme(Dtype::kBF16);
    decision.by = Action::kDequantized;
  }
  return {};
}

// The least error is none: where the integers mean the same in the target, they stay what they are.
Result<void> Decider::KeepIntegers(Decision& decision) const {
  const StoredWeight& weight = *decision.weight;
  const auto* from = dynamic_cast<const IntScheme*>(weight.scheme);
  const auto* to = dynamic_cast<const IntScheme*>(decision.to);
  if (from == nullptr || to == nullptr || !CanRepack(*from, *to, weight.rows, weight.cols)) {
    return {};
  }
  const Search search = request_->quantize->search;
  if (search != Search::kMse) {
    return Fail(Error(ErrorCode::kUnsupported, "a weight has the bits and groups of " +
                                                   std::string(request_->quantize->scheme->name) +
                                                   " already: quantized anew it would only lose")
                    .Of(weight.parts[0]->info.name())
                    .Found(std::string(from->name()) + ", --search " + std::string(Name(search)))
                    .Next("leave out --search, and integers are taken over as they are; or cast to "
                          "bf16 first and quantize that"));
  }
  decision.by = Action::kRepacked;
  decision.repacks = true;
  return {};
}

// Codes stay as they are, and so do the values: a scale that BF16 does not hold ends the run.
bool Decider::WantsBf16Scales() const {
  const EngineProfile* engine = request_->quantize->engine;
  if (engine == nullptr) return false;
  const SchemeRule* rule = engine->FindScheme("w4a16");
  return rule != nullptr && rule->bf16_scales;
}

Result<void> Decider::DecideRepack(Decision& decision, const IntScheme& from) {
  const StoredWeight& weight = *decision.weight;
  auto known =
      std::ranges::find(repacked_, from.format(), &std::pair<IntFormat, const IntScheme*>::first);
  if (known == repacked_.end()) {
    std::shared_ptr<const Scheme> made = request_->quantize->scheme->make(
        {.search = {}, .input_scale = {}, .like = from.format(), .bf16_scales = WantsBf16Scales()});
    const auto* to = dynamic_cast<const IntScheme*>(made.get());
    if (to == nullptr) {
      return Fail(Error(ErrorCode::kUnsupported, std::string(request_->quantize->scheme->name) +
                                                     " has no counterpart of " +
                                                     std::string(from.name()))
                      .Of(weight.parts[0]->info.name())
                      .Next("quantize it anew, which rounds"));
    }
    targets_.push_back(std::move(made));
    known = repacked_.insert(repacked_.end(), {from.format(), to});
  }
  Result<void> same = CanRepack(from, *known->second, weight.rows, weight.cols);
  if (!same) return Fail(std::move(same).error().Of(weight.parts[0]->info.name()));
  decision.to = known->second;
  decision.by = Action::kRepacked;
  decision.repacks = true;
  return {};
}

}  // namespace tessera
