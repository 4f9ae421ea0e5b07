#include "quant/ggml_rows.h"

#include "formats/result.h"
#include "quant/ggml_blocks.h"
#include "quant/ggml_errors.h"
#include "quant/ggml_iq4.h"
#include "quant/ggml_k_quants.h"
#include "quant/ggml_legacy.h"
#include "quant/ggml_mxfp4.h"
#include "quant/reference_ggml.h"

namespace tessera {

const GgmlMath kGgmlKernelMath = {
    kernels::SearchAffine,    kernels::SearchSymmetric, kernels::DescendSymmetric,
    kernels::SearchIq4,       kernels::EncodeLinear,    kernels::EncodeIq4,
    kernels::EncodeTruncated, kernels::EncodeE2m1,      kernels::FindSignedMax,
    kernels::FindRange,       kernels::SumSquares,      kernels::WeighImportance,
    kernels::RoundScales,     kernels::QuantizeQ8_0};
const GgmlMath kGgmlReferenceMath = {
    reference::SearchAffine,    reference::SearchSymmetric, reference::DescendSymmetric,
    reference::SearchIq4,       reference::EncodeLinear,    reference::EncodeIq4,
    reference::EncodeTruncated, reference::EncodeE2m1,      reference::FindSignedMax,
    reference::FindRange,       reference::SumSquares,      reference::WeighImportance,
    reference::RoundScales,     reference::QuantizeQ8_0};

namespace {

bool IsFinite(uint16_t f16) { return (f16 & 0x7C00) != 0x7C00; }

// op(block, i) for the row's blocks.
template <class Op>
void ForEachBlock(Dtype type, const std::byte* row, size_t cols, const Op& op) {
  const auto each = [&]<class Block>(Block*) {
    for (size_t i = 0; i < cols / Info(type).block; ++i) op(LoadBlock<Block>(row, i), i);
  };
  switch (type) {
    case Dtype::kQ4_0:
      return each(static_cast<BlockQ4_0*>(nullptr));
    case Dtype::kQ4_1:
      return each(static_cast<BlockQ4_1*>(nullptr));
    case Dtype::kQ5_0:
      return each(static_cast<BlockQ5_0*>(nullptr));
    case Dtype::kQ5_1:
      return each(static_cast<BlockQ5_1*>(nullptr));
    case Dtype::kQ8_0:
      return each(static_cast<BlockQ8_0*>(nullptr));
    case Dtype::kQ2_K:
      return each(static_cast<BlockQ2_K*>(nullptr));
    case Dtype::kQ3_K:
      return each(static_cast<BlockQ3_K*>(nullptr));
    case Dtype::kQ4_K:
      return each(static_cast<BlockQ4_K*>(nullptr));
    case Dtype::kQ5_K:
      return each(static_cast<BlockQ5_K*>(nullptr));
    case Dtype::kQ6_K:
      return each(static_cast<BlockQ6_K*>(nullptr));
    case Dtype::kIq4Nl:
      return each(static_cast<BlockIq4Nl*>(nullptr));
    case Dtype::kIq4Xs:
      return each(static_cast<BlockIq4Xs*>(nullptr));
    case Dtype::kMxfp4:
      return each(static_cast<BlockMxfp4*>(nullptr));
    default:
      TESSERA_CHECK(IsGgmlType(type));
  }
}

}  // namespace

void QuantizeGgmlRow(Dtype type, const float* row, size_t cols, const float* importance,
                     std::byte* out) {
  QuantizeGgmlRow(type, {row, cols, importance}, kGgmlKernelMath, out);
}

void QuantizeGgmlRow(Dtype type, const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  switch (type) {
    case Dtype::kQ4_0:
      return QuantizeQ4_0(row, math, out);
    case Dtype::kQ4_1:
      return QuantizeQ4_1(row, math, out);
    case Dtype::kQ5_0:
      return QuantizeQ5_0(row, math, out);
    case Dtype::kQ5_1:
      return QuantizeQ5_1(row, math, out);
    case Dtype::kQ8_0:
      return math.quantize_q8_0(row.x, row.cols / kGgmlBlock, out);
    case Dtype::kQ2_K:
      return QuantizeQ2_K(row, math, out);
    case Dtype::kQ3_K:
      return QuantizeQ3_K(row, math, out);
    case Dtype::kQ4_K:
      return QuantizeQ4_K(row, math, out);
    case Dtype::kQ5_K:
      return QuantizeQ5_K(row, math, out);
    case Dtype::kQ6_K:
      return QuantizeQ6_K(row, math, out);
    case Dtype::kIq4Nl:
      return QuantizeIq4Nl(row, math, out);
    case Dtype::kIq4Xs:
      return QuantizeIq4Xs(row, math, out);
    case Dtype::kMxfp4:
      return QuantizeMxfp4(row, math, out);
    default:
      TESSERA_CHECK(IsGgmlType(type));
  }
}

void DequantizeGgmlRow(Dtype type, const std::byte* row, size_t cols, float* out) {
  ForEachBlock(type, row, cols,
               [&](const auto& block, size_t i) { Dequantize(block, out + i * Info(type).block); });
}

bool GgmlScalesAreFinite(Dtype type, const std::byte* row, size_t cols) {
  bool finite = true;
  ForEachBlock(type, row, cols, [&](const auto& block, size_t) {
    if constexpr (requires { block.exponent; }) {
      finite &= block.exponent != 0xFF;
    } else {
      finite &= IsFinite(block.d);
    }
    if constexpr (requires { block.m; }) finite &= IsFinite(block.m);
    if constexpr (requires { block.dmin; }) finite &= IsFinite(block.dmin);
  });
  return finite;
}

void ExpectGgmlErrors(Dtype type, const std::byte* row, size_t cols, float* out) {
  ForEachBlock(type, row, cols, [&](const auto& block, size_t i) {
    ExpectErrors(block, out + i * Info(type).block);
  });
}

}  // namespace tessera
