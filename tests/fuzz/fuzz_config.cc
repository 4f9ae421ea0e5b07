// config.json: a model that is accepted has names for all its tensors and roles for all its names,
// in both spellings; what is said of quantization is understood or refused.
#include <string>

#include "formats/demo_config.h"
#include "formats/json.h"
#include "formats/model_spec.h"
#include "quant/quant_args.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

// Larger models are visited as well, but not within a millisecond.
constexpr uint64_t kMaxExperts = 2000;

void CheckNames(const ModelSpec& spec) {
  if (uint64_t{spec.n_routed_experts} * spec.total_layers() > kMaxExperts) return;
  spec.ForEach([&](const TensorRole& role) {
    for (const NameStyle style : {NameStyle::kHf, NameStyle::kDeepSeek}) {
      Require(spec.Parse(spec.NameOf(role, style), style) == role);
    }
    const auto shape = spec.ShapeOf(role);
    Require(shape && TensorInfo::Make("", Dtype::kF32, *shape));
  });
}

void CheckQuantization(const Json& config) {
  const auto quant = QuantArgs::FromConfig(config);
  if (!quant) return;
  quant->Layouts();
  if (quant->method != QuantMethod::kFp8Block) return;
  const auto again = QuantArgs::FromConfig({{"quantization_config", quant->ToConfig()}});
  Require(again && again->block_rows == quant->block_rows && again->ue8m0 == quant->ue8m0);
}

// The demo's spelling of any model is one that can be read, or is refused.
void CheckDemo(const Json& config, const ModelSpec& spec) {
  const auto demo = DemoConfig(config, spec, true, false);
  if (!demo) return;
  const auto back = HfConfig(*demo, {.mtp_layers = 1, .indexer = spec.index_topk != 0});
  if (!back) return;
  if (const auto again = ModelSpec::FromConfig(*back)) CheckNames(*again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = ParseJson(AsText(data, size));
  if (!config) return 0;
  Require(ParseJson(RenderJson(*config)).value() == *config);
  if (const auto spec = ModelSpec::FromConfig(*config)) {
    CheckNames(*spec);
    CheckDemo(*config, *spec);
  }
  CheckQuantization(*config);
  for (const bool indexer : {false, true}) {
    const auto translated = HfConfig(*config, {.mtp_layers = 1, .indexer = indexer});
    if (!translated) continue;
    if (const auto spec = ModelSpec::FromConfig(*translated)) CheckNames(*spec);
  }
  return 0;
}
