#include "verify/calibrate.h"

#include <algorithm>
#include <cmath>

#include "formats/gguf_names.h"
#include "quant/calibration.h"

namespace tessera {
namespace {

uint64_t Experts(const ModelSpec& spec, const TensorRole& linear) {
  return linear.mlp == Mlp::kRouted ? spec.n_routed_experts : 1;
}

std::string AmaxName(const ModelSpec& spec, const TensorRole& linear) {
  std::string name = spec.NameOf(linear);
  name.resize(name.rfind('.'));
  return InputAmaxName(name);
}

// A tensor of a GGUF file, whose importance is that of one input or, of a half of kv_b_proj, of
// all heads'.
struct GgufPart {
  std::string name;
  uint64_t values;  // of one expert
};

// None where GGUF has no name for the linear.
std::vector<GgufPart> GgufParts(const ModelSpec& spec, const TensorRole& linear) {
  const uint64_t heads = spec.num_attention_heads, columns = spec.ShapeOf(linear)->at(1);
  std::vector<GgufPart> parts;
  if (const auto name = GgufNameOf(linear)) parts.push_back({*name, columns});
  if (linear.module != Module::kKvB || parts.empty()) return parts;
  parts[0].values = heads * spec.qk_nope_head_dim;
  parts.push_back({*GgufNameOf(linear, 1), heads * spec.kv_lora_rank});
  return parts;
}

Result<void> AddTensors(const ModelSpec& spec, const TensorRole& linear,
                        std::vector<TensorInfo>& tensors) {
  const uint64_t experts = Experts(spec, linear);
  const auto add = [&](std::string name, Shape shape) -> Result<void> {
    TESSERA_ASSIGN(TensorInfo info,
                   TensorInfo::Make(std::move(name), Dtype::kF32, std::move(shape)));
    tensors.push_back(std::move(info));
    return {};
  };
  TESSERA_TRY(add(AmaxName(spec, linear), {experts}));
  for (const GgufPart& part : GgufParts(spec, linear)) {
    TESSERA_TRY(add(ImportanceSumsName(part.name), {experts, part.values}));
    TESSERA_TRY(add(ImportanceCountsName(part.name), {experts, 1}));
  }
  return {};
}

Result<std::vector<float>> Finite(std::span<const double> sums, const std::string& name) {
  std::vector<float> values(sums.begin(), sums.end());
  if (std::ranges::all_of(values, [](float x) { return std::isfinite(x); })) return values;
  return Fail(Error(ErrorCode::kNotFinite,
                    "what enters a linear holds a NaN, an infinity, or "
                    "squares beyond what F32 holds")
                  .Of(name)
                  .Next("A weight in front of it is damaged."));
}

Result<void> CheckApart(const std::filesystem::path& out, std::filesystem::path checkpoint) {
  std::error_code error;
  checkpoint = std::filesystem::absolute(checkpoint);
  if (!std::filesystem::is_directory(checkpoint, error)) checkpoint = checkpoint.parent_path();
  const auto in = std::filesystem::weakly_canonical(checkpoint, error);
  const auto at = std::filesystem::weakly_canonical(std::filesystem::absolute(out), error);
  if (std::ranges::mismatch(in, at).in1 != in.end()) return {};
  return Fail(Error(ErrorCode::kOutputConflict, "the output would lie in the checkpoint's folder")
                  .In(out.string())
                  .Next("A calibration leaves its input alone: name a file elsewhere."));
}

}  // namespace

Result<std::unique_ptr<Calibrator>> Calibrator::Open(const std::filesystem::path& path,
                                                     ForwardOptions options,
                                                     WorkCounters& counters) {
  std::unique_ptr<Calibrator> calibrator(new Calibrator());
  Calibrator* const self = calibrator.get();
  options.observer = [self](const TensorRole& weight, ConstMatrix input) {
    self->stats_->Add(weight, input);
  };
  options.head_observer = [self](uint32_t layer, uint64_t head, ConstMatrix query,
                                 ConstMatrix mixed) {
    self->stats_->AddHead(layer, head, query, mixed);
  };
  TESSERA_ASSIGN(self->pass_, ForwardPass::Open(path, options, counters));
  self->checkpoint_ = path;
  return calibrator;
}

Result<CalibrationFile> Calibrator::CreateFile(const std::filesystem::path& out,
                                               const CalibrationSource& source) const {
  TESSERA_TRY(CheckApart(out, checkpoint_));
  std::vector<TensorInfo> tensors;
  for (uint32_t layer = 0; layer < layers(); ++layer) {
    for (const TensorRole& linear : MeasuredLinears(spec(), layer)) {
      TESSERA_TRY(AddTensors(spec(), linear, tensors));
    }
  }
  return CalibrationFile::Create(out, source, std::move(tensors));
}

Result<CalibrationReport> Calibrator::Run(std::span<const uint32_t> tokens,
                                          const std::filesystem::path& out,
                                          const std::string& dataset) {
  const uint64_t chunk = std::min<uint64_t>(kCalibrationChunk, tokens.size());
  std::vector<uint32_t> ids(tokens.begin(), tokens.end());
  if (!ids.empty() && ids[0] == pass_->config().bos_token_id) {
    for (size_t i = 0; i < ids.size(); i += chunk) ids[i] = ids[0];
  }
  TESSERA_TRY(pass_->Start(ids, chunk));
  report_ = {};
  report_.tokens = tokens.size();
  report_.chunks = (tokens.size() + chunk - 1) / chunk;
  with_mtp_ = pass_->has_mtp() && chunk > 1;
  TESSERA_ASSIGN(CalibrationFile file,
                 CreateFile(out, {.dataset = dataset,
                                  .chunk_count = static_cast<uint32_t>(report_.chunks),
                                  .chunk_size = static_cast<uint32_t>(chunk)}));
  TESSERA_TRY(RunLayers(file));
  TESSERA_TRY(file.Publish());
  return report_;
}

Result<void> Calibrator::RunLayers(CalibrationFile& file) {
  for (uint32_t layer = 0; layer < layers(); ++layer) {
    stats_.emplace(spec(), layer);
    if (layer == spec().num_hidden_layers) {
      TESSERA_TRY(pass_->Finish());
      TESSERA_TRY(pass_->StartMtp());
    }
    TESSERA_TRY(pass_->Layer(layer));
    TESSERA_TRY(WriteLayer(layer, file));
  }
  return {};
}

Result<void> Calibrator::WriteLayer(uint32_t layer, CalibrationFile& file) {
  uint64_t unreached = 0;
  for (const TensorRole& linear : MeasuredLinears(spec(), layer)) {
    const uint64_t experts = Experts(spec(), linear);
    report_.linears += experts;
    TESSERA_TRY(WriteLinear(linear, file));
    if (linear.mlp != Mlp::kRouted || linear.module != Module::kGateProj) continue;
    report_.experts += experts;
    for (TensorRole expert = linear; expert.expert < static_cast<int32_t>(experts);
         ++expert.expert) {
      unreached += stats_->Of(expert).tokens == 0 ? 1 : 0;
    }
  }
  if (unreached != 0) report_.unreached.emplace_back(layer, unreached);
  return {};
}

Result<void> Calibrator::WriteLinear(const TensorRole& linear, CalibrationFile& file) const {
  const std::string name = AmaxName(spec(), linear);
  const uint64_t columns = spec().ShapeOf(linear)->at(1);
  std::vector<float> amax, counts;
  std::vector<double> squares;
  TensorRole expert = linear;
  for (uint64_t i = 0; i < Experts(spec(), linear); ++i) {
    if (linear.mlp == Mlp::kRouted) expert.expert = static_cast<int32_t>(i);
    const InputStats& stats = stats_->Of(expert);
    amax.push_back(stats.amax);
    counts.push_back(static_cast<float>(stats.tokens));
    squares.insert(squares.end(), stats.squares.begin(), stats.squares.end());
    squares.resize((i + 1) * columns);
  }
  TESSERA_ASSIGN(const std::vector<float> sums, Finite(squares, name));
  TESSERA_TRY(file.Write(name, amax));
  const std::vector<GgufPart> parts = GgufParts(spec(), linear);
  for (const GgufPart& part : parts) {
    TESSERA_TRY(file.Write(ImportanceCountsName(part.name), counts));
  }
  if (parts.size() == 1) return file.Write(ImportanceSumsName(parts[0].name), sums);
  if (parts.empty()) return {};
  TESSERA_ASSIGN(const std::vector<float> k, Finite(stats_->k_squares(), parts[0].name));
  TESSERA_TRY(file.Write(ImportanceSumsName(parts[0].name), k));
  TESSERA_ASSIGN(const std::vector<float> v, Finite(stats_->v_squares(), parts[1].name));
  return file.Write(ImportanceSumsName(parts[1].name), v);
}

}  // namespace tessera
