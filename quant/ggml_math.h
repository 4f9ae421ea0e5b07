// The arithmetic that ggml's quantizers are made of: kernels on the chosen SIMD target, or plain
// code.
#pragma once

#include "quant/kernels/ggml_encode.h"
#include "quant/kernels/ggml_search.h"

namespace tessera {

struct GgmlMath {
  decltype(&kernels::SearchAffine) search_affine;
  decltype(&kernels::SearchSymmetric) search_symmetric;
  decltype(&kernels::DescendSymmetric) descend_symmetric;
  decltype(&kernels::SearchIq4) search_iq4;
  decltype(&kernels::EncodeLinear) encode_linear;
  decltype(&kernels::EncodeIq4) encode_iq4;
  decltype(&kernels::EncodeTruncated) encode_truncated;
  decltype(&kernels::EncodeE2m1) encode_e2m1;
  decltype(&kernels::FindSignedMax) find_signed_max;
  decltype(&kernels::FindRange) find_range;
  decltype(&kernels::SumSquares) sum_squares;
  decltype(&kernels::WeighImportance) weigh_importance;
  decltype(&kernels::RoundScales) round_scales;
  decltype(&kernels::QuantizeQ8_0) quantize_q8_0;
};
extern const GgmlMath kGgmlKernelMath, kGgmlReferenceMath;

// A row to quantize. `importance` is nullptr, or one weight a column, not negative.
struct GgmlRow {
  const float* x;
  size_t cols;
  const float* importance;
};

// The most values that are worked on at once: buffers stay within L1.
inline constexpr size_t kGgmlBatch = 4096;

}  // namespace tessera
