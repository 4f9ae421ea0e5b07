// What only a forward pass reads of config.json: it is refused, or every number of it is one that
// positions and routers can be computed with.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "formats/json.h"
#include "formats/model_spec.h"
#include "tests/fuzz/require.h"
#include "verify/forward_config.h"
#include "verify/rope.h"

namespace {

using namespace tessera;

constexpr uint32_t kMaxRotated = 4096;  // larger ones are refused by nobody, and only take longer

bool IsPositive(double value) {
  return value > 0 && value <= double{std::numeric_limits<float>::max()};
}

void CheckPositions(const RopeConfig& rope, uint32_t dim) {
  Require(IsPositive(rope.theta) && IsPositive(rope.factor));
  Require(IsPositive(rope.rotation_factor) && IsPositive(rope.softmax_factor));
  if (dim > kMaxRotated) return;
  for (const float frequency : RopeFrequencies(rope, dim)) {
    Require(std::isfinite(frequency) && frequency >= 0);
  }
  constexpr uint64_t kPositions = 3;
  const RopeTable table(rope, dim, kPositions, RopeRounding::kNone);
  std::vector<float> values(dim, 1);
  table.Rotate(kPositions - 1, true, values.data());
  Require(std::ranges::all_of(values, [](float value) { return std::isfinite(value); }));
}

void CheckRouter(const ForwardConfig& config, const ModelSpec& spec) {
  Require(IsPositive(config.rms_norm_eps) && IsPositive(config.routed_scaling_factor));
  Require(config.max_position_embeddings > 0);
  Require(!config.bos_token_id || *config.bos_token_id < spec.vocab_size);
  if (config.topk_method == TopkMethod::kGreedy) return;
  Require(config.n_group > 0 && spec.n_routed_experts % config.n_group == 0);
  Require(config.topk_group > 0 && config.topk_group <= config.n_group);
  const uint64_t group = spec.n_routed_experts / config.n_group;
  Require(config.topk_group * group >= spec.num_experts_per_tok);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = ParseJson(AsText(data, size));
  if (!config) return 0;
  const auto spec = ModelSpec::FromConfig(*config);
  if (!spec) return 0;
  const auto forward = ForwardConfig::FromConfig(*config, *spec);
  if (!forward) return 0;
  CheckPositions(forward->rope, spec->qk_rope_head_dim);
  CheckRouter(*forward, *spec);
  return 0;
}
