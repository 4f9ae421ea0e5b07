#include "quant/ggml_mxfp4.h"

#include <algorithm>
#include <cmath>

#include "quant/reference_ggml.h"

namespace tessera {
namespace {

// Half of what OCP's E8M0 says, since the codes' values are doubled.
float UnitOf(uint8_t exponent) { return std::ldexp(1.0f, exponent - 128); }

// Below 2^-125 ggml converts a negative number to a byte, which C leaves undefined; under exponent
// 0 such values are at home.
uint8_t ExponentFor(float amax) {
  return amax > 0 ? static_cast<uint8_t>(std::max(0, FloorLog2(amax) - 2 + 127)) : uint8_t{0};
}

}  // namespace

int FloorLog2(float x) {
  // A float log2 of nearest rounding, made of double's: whole numbers are far from being ties.
  const auto log2 = static_cast<float>(std::log2(static_cast<double>(x)));
  return static_cast<int>(std::floor(log2));
}

void QuantizeMxfp4(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  constexpr size_t kBatchBlocks = kGgmlBatch / kGgmlBlock;
  for (size_t begin = 0; begin < row.cols; begin += kGgmlBatch) {
    const size_t blocks = std::min(kGgmlBatch, row.cols - begin) / kGgmlBlock;
    float max[kBatchBlocks], units[kBatchBlocks];
    uint8_t exponents[kBatchBlocks], codes[kGgmlBatch];
    const kernels::BlockSpan span{row.x + begin, kGgmlBlock, blocks};
    math.find_signed_max(span, max);
    for (size_t i = 0; i < blocks; ++i) {
      exponents[i] = ExponentFor(std::fabs(max[i]));
      units[i] = UnitOf(exponents[i]);
    }
    math.encode_e2m1(span, units, codes);
    for (size_t i = 0; i < blocks; ++i) {
      BlockMxfp4 block{exponents[i], {}};
      PackNibbles(codes + i * kGgmlBlock, block.codes);
      StoreBlock(block, out, begin / kGgmlBlock + i);
    }
  }
}

void Dequantize(const BlockMxfp4& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  const float unit = UnitOf(block.exponent);
  for (size_t i = 0; i < kGgmlBlock; ++i) {
    const float value = kernels::kE2m1Doubled[codes[i] % 8] * unit;
    out[i] = codes[i] > 8 ? -value : value;  // code 8, minus zero, counts as 0
  }
}

}  // namespace tessera
