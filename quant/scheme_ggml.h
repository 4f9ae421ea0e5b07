// The types of GGUF's tensors as schemes: F32, F16 and BF16, and the block types of AllGgmlTypes().
//
// Encoding counts values that are not finite (ValueStats::not_finite) and scales that overflow
// (infinite_scales); either makes its row useless.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "quant/scheme.h"

namespace tessera {

class GgmlScheme : public Scheme {
 public:
  // The same scheme, rounding so that errors are small where columns are important: by part, a
  // finite weight >= 0 for each column of each of its matrices, or none. Borrows the weights.
  virtual std::unique_ptr<Scheme> Weighed(
      std::span<const std::span<const float>> importance) const = 0;
};

// One part, ".weight" [rows, cols]; rows are whole blocks.
const GgmlScheme& GgmlMatrixScheme(Dtype dtype);

// kv_b_proj, [heads * (nope + v), kv_lora], as llama.cpp multiplies with it: attn_k_b [heads,
// kv_lora, nope], the first `nope` rows of each head transposed, and attn_v_b [heads, v, kv_lora],
// the rest of its rows. Rows go by heads.
struct GgmlKvBArgs {
  uint64_t heads = 0, nope = 0, v = 0;
  Dtype k_type = Dtype::kF32, v_type = Dtype::kF32;

  friend bool operator==(const GgmlKvBArgs&, const GgmlKvBArgs&) = default;
};
inline constexpr std::string_view kKvBSuffixes[] = {".k_b", ".v_b"};
std::unique_ptr<GgmlScheme> MakeGgmlKvBScheme(const GgmlKvBArgs& args);

}  // namespace tessera
