#include "convert/decision.h"

#include "convert/coverage.h"
#include "convert/mtp_split.h"

namespace tessera {

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
  if (request.to == CastTo::kFp8) {
    Fp8BlockArgs args;
    args.scale_format = request.scale_format;
    args.scales_given = scales != nullptr;
    if (scales != nullptr) {
      args.block_rows = scales->quant.block_rows;
      args.block_cols = scales->quant.block_cols;
    }
    decider.fp8_ = MakeFp8BlockScheme(args);
  }
  return decider;
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
  if (scales_ != nullptr && scales_->quant.method != QuantMethod::kFp8Block) {
    return Fail(Error(ErrorCode::kUnsupported, "--scales-from needs a block-FP8 checkpoint")
                    .In(scales_->checkpoint->dir().string())
                    .Expected("quantization_config with quant_method fp8"));
  }
  return {};
}

Result<Decision> Decider::Decide(const StoredWeight& weight) const {
  const TensorInfo& info = weight.parts[0]->info;
  const std::optional<TensorRole> role = source_->spec->Parse(info.name());
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
  if (request_->to == CastTo::kStored) return decision;
  if (weight.scheme == nullptr) {
    return Fail(Error(ErrorCode::kUnsupported, "a weight of a type that cannot be decoded")
                    .Of(info.name())
                    .Expected("F32, F16, BF16, or F8_E4M3 or F8_E5M2 with its scales")
                    .Found(info.Describe()));
  }
  if (request_->to == CastTo::kFp8) {
    TESSERA_TRY(DecideFp8(decision));
    return decision;
  }
  const Dtype target = TargetDtype(request_->to);
  // F32 stays F32: whoever stored a router bias or a norm wide meant it.
  if (info.dtype() == target || info.dtype() == Dtype::kF32) return decision;
  decision.by = IsPlainFloat(info.dtype()) ? Action::kCast : Action::kDequantized;
  decision.to = &PlainScheme(target, request_->saturate);
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
  if (!IsFp8Linear(decision.role)) return {};
  if (scales_ != nullptr) {
    const StoredWeight* original = scales_->FindWeight(info.name());
    if (original == nullptr) {
      return Fail(Error(ErrorCode::kMissingTensor, info.name() + " is not in --scales-from")
                      .In(scales_->checkpoint->dir().string())
                      .Next("give the checkpoint that the input was cast from"));
    }
    // What was not quantized in the original is not quantized now.
    if (original->parts.size() < 2) return {};
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
  decision.to = fp8_.get();
  return {};
}

}  // namespace tessera
