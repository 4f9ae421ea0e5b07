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

// One over each scale; 0 where there is none. Codes of blocks whose scale or inverse is not finite
// become 0: ggml converts infinities and NaNs to integers there, which makes zeros on x86.
class Inverses {
 public:
  explicit Inverses(const Batch& batch) : blocks_(batch.blocks) {
    for (size_t i = 0; i < blocks_; ++i) {
      const float scale = batch.scales[i];
      const float inverse = scale != 0 ? 1 / scale : 0.0f;
      broken_[i] = !std::isfinite(scale) || !std::isfinite(inverse);
      inverses_[i] = broken_[i] ? 0.0f : inverse;
    }
  }

  const float* data() const { return inverses_; }

  void ClearBroken(uint8_t* codes) const {
    for (size_t i = 0; i < blocks_; ++i) {
      if (broken_[i]) std::fill_n(codes + i * kGgmlBlock, kGgmlBlock, 0);
    }
  }

 private:
  size_t blocks_;
  float inverses_[kBatchBlocks];
  bool broken_[kBatchBlocks];
};

void Encode(const BlockSpan& span, const float* shifts, float offset, int top, const GgmlMath& math,
            Batch& batch) {
  const Inverses inverses(batch);
  math.encode_truncated(span, {shifts, inverses.data(), offset, top}, batch.codes);
  inverses.ClearBroken(batch.codes);
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
    math.find_signed_max(span, batch.scales);
    for (size_t i = 0; i < batch.blocks; ++i) batch.scales[i] /= static_cast<float>(-half);
    Encode(span, nullptr, static_cast<float>(half) + 0.5f, 2 * half - 1, math, batch);
  };
}

auto FillFromMin(const GgmlRow& row, const GgmlMath& math, int top) {
  return [&row, &math, top](Batch& batch, const BlockSpan& span) {
    if (row.importance != nullptr) {
      math.search_affine(span, WeightedTrials(top), batch.scales, batch.mins, batch.codes);
      for (size_t i = 0; i < batch.blocks; ++i) batch.mins[i] = -batch.mins[i];
      return;
    }
    math.find_range(span, batch.mins, batch.scales);
    for (size_t i = 0; i < batch.blocks; ++i) {
      batch.scales[i] = (batch.scales[i] - batch.mins[i]) / static_cast<float>(top);
    }
    Encode(span, batch.mins, 0.5f, top, math, batch);
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
