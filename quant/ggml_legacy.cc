#include "quant/ggml_legacy.h"

#include <algorithm>
#include <cmath>

#include "quant/reference.h"
#include "quant/reference_ggml.h"

namespace tessera {
namespace {

using kernels::AffineTrials;
using kernels::BlockSpan;
using kernels::ErrorWeight;

constexpr size_t kBatchBlocks = kGgmlBatch / kGgmlBlock;

// A batch on its way: everything of its blocks but where the bits lie.
struct Batch {
  size_t blocks;
  float scales[kBatchBlocks];
  float mins[kBatchBlocks];  // as they are stored
  uint8_t codes[kGgmlBatch];
};

// Codes are scaled + 0.5, truncated, up to `top`.
uint8_t Truncate(float scaled, int top) {
  return static_cast<uint8_t>(std::min(static_cast<int>(scaled), top));
}

// Codes of blocks with a scale or an inverse that is not finite become 0: ggml converts infinities
// and NaNs to integers there, which makes zeros on x86.
void QuantizeCentred(const float* x, int half, float& scale, uint8_t* codes) {
  scale = reference::SignedMax(x, kGgmlBlock) / static_cast<float>(-half);
  const float inverse = scale != 0 ? 1 / scale : 0.0f;
  std::fill_n(codes, kGgmlBlock, 0);
  if (!std::isfinite(inverse)) return;
  const float zero = static_cast<float>(half) + 0.5f;
  for (size_t i = 0; i < kGgmlBlock; ++i) codes[i] = Truncate(x[i] * inverse + zero, 2 * half - 1);
}

void QuantizeFromMin(const float* x, int top, float& scale, float& min, uint8_t* codes) {
  const auto [least, most] = std::minmax_element(x, x + kGgmlBlock);
  min = *least;
  scale = (*most - min) / static_cast<float>(top);
  const float inverse = scale != 0 ? 1 / scale : 0.0f;
  std::fill_n(codes, kGgmlBlock, 0);
  if (!std::isfinite(scale) || !std::isfinite(inverse)) return;
  for (size_t i = 0; i < kGgmlBlock; ++i) codes[i] = Truncate((x[i] - min) * inverse + 0.5f, top);
}

constexpr AffineTrials WeightedTrials(int top) { return {top, -0.9f, 0.05f, 37, false}; }

// fill(batch, span) makes scales, minimums and codes; under an importance the span has weights.
// store(batch, i, f16 scale, f16 minimum) makes block i of a batch.
template <class Fill, class Store>
void ForEachBatch(const GgmlRow& row, const GgmlMath& math, const Fill& fill, const Store& store) {
  float variance = 0;
  if (row.importance != nullptr) {
    reference::SumSquares(row.x, row.cols, 1, &variance);
    variance /= static_cast<float>(row.cols);
  }
  for (size_t begin = 0; begin < row.cols; begin += kGgmlBatch) {
    const size_t n = std::min(kGgmlBatch, row.cols - begin);
    Batch batch;
    batch.blocks = n / kGgmlBlock;
    float weights[kGgmlBatch];
    const BlockSpan span{row.x + begin, kGgmlBlock, batch.blocks, ErrorWeight::kGiven, weights};
    if (row.importance != nullptr) {
      math.weigh_importance(span.x, row.importance + begin, n, variance, weights);
    }
    std::fill_n(batch.mins, batch.blocks, 0.0f);
    fill(batch, span);
    uint16_t scales[kBatchBlocks], mins[kBatchBlocks];
    math.round_scales(batch.scales, batch.blocks, scales);
    math.round_scales(batch.mins, batch.blocks, mins);
    for (size_t i = 0; i < batch.blocks; ++i) {
      store(batch.codes + i * kGgmlBlock, begin / kGgmlBlock + i, scales[i], mins[i]);
    }
  }
}

auto FillCentred(const GgmlRow& row, const GgmlMath& math, int half) {
  return [&row, &math, half](Batch& batch, const BlockSpan& span) {
    if (row.importance != nullptr) {
      math.search_symmetric(span, half, batch.scales, batch.codes);
      return;
    }
    for (size_t i = 0; i < batch.blocks; ++i) {
      const size_t at = i * kGgmlBlock;
      QuantizeCentred(span.x + at, half, batch.scales[i], batch.codes + at);
    }
  };
}

auto FillFromMin(const GgmlRow& row, const GgmlMath& math, int top) {
  return [&row, &math, top](Batch& batch, const BlockSpan& span) {
    if (row.importance != nullptr) {
      math.search_affine(span, WeightedTrials(top), batch.scales, batch.mins, batch.codes);
      for (size_t i = 0; i < batch.blocks; ++i) batch.mins[i] = -batch.mins[i];
      return;
    }
    for (size_t i = 0; i < batch.blocks; ++i) {
      const size_t at = i * kGgmlBlock;
      QuantizeFromMin(span.x + at, top, batch.scales[i], batch.mins[i], batch.codes + at);
    }
  };
}

}  // namespace

void QuantizeQ4_0(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  ForEachBatch(row, math, FillCentred(row, math, 8),
               [&](const uint8_t* codes, size_t i, uint16_t d, uint16_t) {
                 BlockQ4_0 block{d, {}};
                 PackNibbles(codes, block.codes);
                 StoreBlock(block, out, i);
               });
}

void QuantizeQ4_1(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  ForEachBatch(row, math, FillFromMin(row, math, 15),
               [&](const uint8_t* codes, size_t i, uint16_t d, uint16_t m) {
                 BlockQ4_1 block{d, m, {}};
                 PackNibbles(codes, block.codes);
                 StoreBlock(block, out, i);
               });
}

void QuantizeQ5_0(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  ForEachBatch(row, math, FillCentred(row, math, 16),
               [&](const uint8_t* codes, size_t i, uint16_t d, uint16_t) {
                 BlockQ5_0 block{d, {}, {}};
                 PackNibbles(codes, block.codes);
                 PackFifthBits(codes, block.fifth);
                 StoreBlock(block, out, i);
               });
}

void QuantizeQ5_1(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  ForEachBatch(row, math, FillFromMin(row, math, 31),
               [&](const uint8_t* codes, size_t i, uint16_t d, uint16_t m) {
                 BlockQ5_1 block{d, m, {}, {}};
                 PackNibbles(codes, block.codes);
                 PackFifthBits(codes, block.fifth);
                 StoreBlock(block, out, i);
               });
}

void Dequantize(const BlockQ4_0& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = static_cast<float>(codes[i] - 8) * d;
}

void Dequantize(const BlockQ4_1& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  const float d = reference::DecodeF16(block.d), m = reference::DecodeF16(block.m);
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = static_cast<float>(codes[i]) * d + m;
}

void Dequantize(const BlockQ5_0& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  AddFifthBits(block.fifth, codes);
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = static_cast<float>(codes[i] - 16) * d;
}

void Dequantize(const BlockQ5_1& block, float* out) {
  uint8_t codes[kGgmlBlock];
  UnpackNibbles(block.codes, codes);
  AddFifthBits(block.fifth, codes);
  const float d = reference::DecodeF16(block.d), m = reference::DecodeF16(block.m);
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = static_cast<float>(codes[i]) * d + m;
}

void Dequantize(const BlockQ8_0& block, float* out) {
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlBlock; ++i) out[i] = static_cast<float>(block.codes[i]) * d;
}

}  // namespace tessera
