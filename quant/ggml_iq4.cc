#include "quant/ggml_iq4.h"

#include <algorithm>

#include "quant/reference.h"
#include "quant/reference_ggml.h"

namespace tessera {
namespace {

using kernels::BlockSpan;
using kernels::ErrorWeight;

float InverseOf(float scale) { return scale != 0 ? 1 / scale : 0.0f; }

// Blocks of 32 under x^2 or the importance, whose variance is that of `group` values at a time.
BlockSpan Weigh(const GgmlRow& row, size_t begin, size_t n, size_t group, const GgmlMath& math,
                float* weights) {
  const float* x = row.x + begin;
  if (row.importance == nullptr) return {x, kGgmlBlock, n / kGgmlBlock, ErrorWeight::kSquare};
  float squares[kGgmlBatch / kGgmlBlock];
  math.sum_squares(x, group, n / group, squares);
  for (size_t i = 0; i < n; i += group) {
    const float variance = squares[i / group] * (2.0f / static_cast<float>(group));
    math.weigh_importance(x + i, row.importance + begin + i, group, variance, weights + i);
  }
  return {x, kGgmlBlock, n / kGgmlBlock, ErrorWeight::kGiven, weights};
}

// Quantizes the scales of a super-block; `scales` become the inverses of what the codes are made
// with, which is not rounded to F16.
float QuantizeScales(float* scales, uint8_t* quantized) {
  constexpr size_t kScales = kGgmlSuperBlock / kGgmlBlock;
  const float d = -reference::SignedMax(scales, kScales) / 32;
  const float inverse = InverseOf(d);
  for (size_t j = 0; j < kScales; ++j) {
    const int scale = std::clamp(reference::NearestInt(inverse * scales[j]), -32, 31);
    scales[j] = InverseOf(d * static_cast<float>(scale));
    quantized[j] = static_cast<uint8_t>(scale + 32);
  }
  return d;
}

}  // namespace

void QuantizeIq4Nl(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  for (size_t begin = 0; begin < row.cols; begin += kGgmlBatch) {
    const size_t n = std::min(kGgmlBatch, row.cols - begin);
    float weights[kGgmlBatch], scales[kGgmlBatch / kGgmlBlock], inverses[kGgmlBatch / kGgmlBlock];
    uint16_t f16[kGgmlBatch / kGgmlBlock];
    uint8_t codes[kGgmlBatch];
    const BlockSpan span = Weigh(row, begin, n, kGgmlBlock, math, weights);
    math.search_iq4(span, scales);
    std::transform(scales, scales + span.count, inverses, InverseOf);
    math.encode_iq4(span, inverses, codes);
    math.round_scales(scales, span.count, f16);
    for (size_t i = 0; i < span.count; ++i) {
      BlockIq4Nl block{f16[i], {}};
      PackNibbles(codes + i * kGgmlBlock, block.codes);
      StoreBlock(block, out, begin / kGgmlBlock + i);
    }
  }
}

void QuantizeIq4Xs(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  constexpr size_t kScales = kGgmlSuperBlock / kGgmlBlock;
  constexpr size_t kSupers = kGgmlBatch / kGgmlSuperBlock;
  for (size_t begin = 0; begin < row.cols; begin += kGgmlBatch) {
    const size_t n = std::min(kGgmlBatch, row.cols - begin), supers = n / kGgmlSuperBlock;
    float weights[kGgmlBatch], scales[kSupers * kScales], d[kSupers];
    uint16_t f16[kSupers];
    uint8_t codes[kGgmlBatch], quantized[kSupers * kScales];
    const BlockSpan span = Weigh(row, begin, n, kGgmlSuperBlock, math, weights);
    math.search_iq4(span, scales);
    for (size_t i = 0; i < supers; ++i) {
      d[i] = QuantizeScales(scales + i * kScales, quantized + i * kScales);
    }
    math.encode_iq4(span, scales, codes);
    math.round_scales(d, supers, f16);
    for (size_t i = 0; i < supers; ++i) {
      BlockIq4Xs block{f16[i], {}, {}, {}};
      PackScales(quantized + i * kScales, block);
      PackCodes(codes + i * kGgmlSuperBlock, block);
      StoreBlock(block, out, begin / kGgmlSuperBlock + i);
    }
  }
}

void Dequantize(const BlockIq4Nl& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = d * kernels::kIq4Levels[codes[i]];
}

void Dequantize(const BlockIq4Xs& block, float* out) {
  uint8_t codes[kGgmlSuperBlock], scales[kGgmlSuperBlock / kGgmlBlock];
  UnpackCodes(block, codes);
  UnpackScales(block, scales);
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlSuperBlock; ++i) {
    const float scale = d * static_cast<float>(scales[i / kGgmlBlock] - 32);
    out[i] = scale * kernels::kIq4Levels[codes[i]];
  }
}

}  // namespace tessera
