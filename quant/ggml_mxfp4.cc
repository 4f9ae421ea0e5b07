#include "quant/ggml_mxfp4.h"

#include <algorithm>
#include <cmath>

#include "quant/reference_ggml.h"

namespace tessera {
namespace {

// E2M1, doubled: whole numbers.
constexpr int kValues[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
// Half way between them; what lies on one is nearest to the smaller.
constexpr float kMidpoints[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};

// The value of code 1 or half of what OCP's E8M0 says, since the codes' values are doubled.
float UnitOf(uint8_t exponent) { return std::ldexp(1.0f, exponent - 128); }

// The magnitude's code is how many midpoints it exceeds. A value that comes out as zero is +0.
uint8_t CodeOf(float x, const float* midpoints) {
  int code = 0;
  for (size_t k = 0; k < 7; ++k) code += std::fabs(x) > midpoints[k] ? 1 : 0;
  return static_cast<uint8_t>(x < 0 && code != 0 ? code + 8 : code);
}

}  // namespace

int FloorLog2(float x) {
  // A float log2 of nearest rounding, made of double's: whole numbers are far from being ties.
  const auto log2 = static_cast<float>(std::log2(static_cast<double>(x)));
  return static_cast<int>(std::floor(log2));
}

void QuantizeMxfp4(const GgmlRow& row, std::byte* out) {
  for (size_t i = 0; i < row.cols / kGgmlBlock; ++i) {
    const float* x = row.x + i * kGgmlBlock;
    const float amax = std::fabs(reference::SignedMax(x, kGgmlBlock));
    BlockMxfp4 block{0, {}};
    // Below 2^-125 ggml converts a negative number to a byte, which C leaves undefined; under
    // exponent 0 such values are at home.
    if (amax > 0) block.exponent = static_cast<uint8_t>(std::max(0, FloorLog2(amax) - 2 + 127));
    float midpoints[7];
    for (size_t k = 0; k < 7; ++k) midpoints[k] = kMidpoints[k] * UnitOf(block.exponent);
    uint8_t codes[kGgmlBlock];
    for (size_t j = 0; j < kGgmlBlock; ++j) codes[j] = CodeOf(x[j], midpoints);
    PackNibbles(codes, block.codes);
    StoreBlock(block, out, i);
  }
}

void Dequantize(const BlockMxfp4& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  const float unit = UnitOf(block.exponent);
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = static_cast<float>(kValues[codes[i]]) * unit;
}

}  // namespace tessera
