// The types of GGUF's tensors as schemes: F32, F16 and BF16, and the block types of AllGgmlTypes().
//
// Encoding counts values that are not finite (ValueStats::not_finite) and scales that overflow
// (infinite_scales); both make the row useless.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "quant/scheme.h"

namespace tessera {

// One part, ".weight" [rows, cols]; rows are whole blocks.
const Scheme& GgmlScheme(Dtype dtype);

// The same, rounding so that squared errors weighted by `importance` are small: one finite weight
// >= 0 a column, borrowed.
std::unique_ptr<Scheme> MakeGgmlScheme(Dtype dtype, std::span<const float> importance);

// kv_b_proj, [heads * (nope + v), kv_lora], as llama.cpp multiplies with it: attn_k_b [heads,
// kv_lora, nope], the first `nope` rows of each head transposed, and attn_v_b [heads, v, kv_lora],
// the rest of its rows. Rows go by heads.
struct GgmlKvBArgs {
  uint64_t heads = 0, nope = 0, v = 0;
  Dtype k_type = Dtype::kF32, v_type = Dtype::kF32;
  std::span<const float> k_importance = {}, v_importance = {};  // [heads, columns], borrowed
};
inline constexpr std::string_view kKvBSuffixes[] = {".k_b", ".v_b"};
std::unique_ptr<Scheme> MakeGgmlKvBScheme(const GgmlKvBArgs& args);

}  // namespace tessera
