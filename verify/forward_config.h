// The fields of config.json that only a forward pass depends on. Whatever is not understood is
// refused, naming the field: a wrong guess here gives plausible nonsense.
#pragma once

#include <cstdint>
#include <optional>

#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/result.h"

namespace tessera {

// Rotary positions; from rope_theta and rope_scaling, or rope_parameters, which newer writers have.
struct RopeConfig {
  double theta = 0;
  bool yarn = false;  // what follows is YaRN's
  double factor = 1, beta_fast = 32, beta_slow = 1;
  double original_max_position_embeddings = 0;
  double rotation_factor = 1;  // on cosine and sine: a ratio of mscales, 1 for most models
  double softmax_factor = 1;   // on the softmax scale: the square of mscale_all_dim's mscale
};

enum class TopkMethod : uint8_t {
  kGreedy,              // the top of a softmax
  kGroupLimitedGreedy,  // likewise, from the groups with the largest scores
  kNoauxTc,             // sigmoid; a bias and the groups' two best decide, for the choice only
};

struct ForwardConfig {
  double rms_norm_eps = 0;
  uint32_t max_position_embeddings = 0;
  RopeConfig rope;
  // Pairs are neighbours (2i, 2i + 1), else i and i + half.
  bool rope_interleave = true, indexer_rope_interleave = false;
  TopkMethod topk_method{};
  uint32_t n_group = 1, topk_group = 1;
  bool norm_topk_prob = false;
  double routed_scaling_factor = 1;
  bool ue8m0_activations = false;        // quantization_config.scale_fmt, for FP8 activations
  std::optional<uint32_t> bos_token_id;  // where it is one id of the vocabulary

  // kBadConfig or kUnsupported.
  static Result<ForwardConfig> FromConfig(const Json& config, const ModelSpec& spec);
};

}  // namespace tessera
