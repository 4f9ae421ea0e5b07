// What config.json says of a model beyond its shapes, as far as llama.cpp's architecture deepseek2
// can say it too. Whatever it cannot say, or its loader would misread, is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/result.h"

namespace tessera {

// Of YaRN; what is absent has llama.cpp's default, which is the model code's.
struct GgufYarn {
  double factor = 1;
  uint32_t original_context = 0;
  std::optional<double> beta_fast, beta_slow;
  std::optional<double> mscale;  // mscale and mscale_all_dim, which are equal
};

enum class GgufGating : uint8_t { kSoftmax = 1, kSigmoid = 2 };  // as ggml numbers them

struct GgufConfig {
  uint32_t context_length = 0;
  double rope_theta = 0;
  std::optional<GgufYarn> yarn;
  double rms_norm_eps = 0;
  std::optional<uint32_t> expert_groups, expert_groups_used;
  GgufGating gating{};
  std::optional<double> routed_scaling_factor;
  bool norm_topk_prob = false;

  // kUnsupported or kBadConfig, naming the field. `file` is where `config` stands; `mtp`: the
  // module is to be written too.
  static Result<GgufConfig> Of(const Json& config, const ModelSpec& spec, const std::string& file,
                               bool mtp);
};

}  // namespace tessera
