#include "quant/ggml_k_quants.h"

#include <algorithm>
#include <cmath>

#include "quant/reference.h"
#include "quant/reference_ggml.h"

namespace tessera {
namespace {

using kernels::AffineTrials;
using kernels::BlockSpan;
using kernels::ErrorWeight;

constexpr size_t kSupers = kGgmlBatch / kGgmlSuperBlock;
constexpr size_t kMaxSubs = kGgmlSuperBlock / 16;

// Some super-blocks on their way.
struct Batch {
  Batch(const GgmlRow& row, size_t begin, size_t sub)
      : x(row.x + begin),
        importance(row.importance == nullptr ? nullptr : row.importance + begin),
        values(std::min(kGgmlBatch, row.cols - begin)),
        supers(values / kGgmlSuperBlock),
        sub(sub) {}

  size_t subs() const { return kGgmlSuperBlock / sub; }  // of a super-block
  BlockSpan Subs(ErrorWeight weighting) const { return {x, sub, values / sub, weighting, weights}; }

  const float* x;
  const float* importance;
  size_t values, supers, sub;
  float weights[kGgmlBatch];
  float scales[kSupers * kMaxSubs], mins[kSupers * kMaxSubs], sums[kSupers * kMaxSubs];
  float divisors[kSupers * kMaxSubs], shifts[kSupers * kMaxSubs];
  float d[kSupers], dmin[kSupers];
  uint16_t f16_d[kSupers], f16_dmin[kSupers];
  uint8_t codes[kGgmlBatch];
};

// Weights of every value, and their sums over each sub-block.
void WeighByImportance(Batch& batch, float variance_factor, const GgmlMath& math) {
  float squares[kSupers];
  math.sum_squares(batch.x, kGgmlSuperBlock, batch.supers, squares);
  for (size_t i = 0; i < batch.supers; ++i) {
    const size_t at = i * kGgmlSuperBlock;
    const float variance = variance_factor * squares[i] / static_cast<float>(kGgmlSuperBlock);
    math.weigh_importance(batch.x + at, batch.importance + at, kGgmlSuperBlock, variance,
                          batch.weights + at);
  }
  for (size_t i = 0; i < batch.values / batch.sub; ++i) {
    batch.sums[i] = 0;
    for (size_t j = 0; j < batch.sub; ++j) batch.sums[i] += batch.weights[i * batch.sub + j];
  }
}

// Quantizes what is not negative, the largest to `top`; returns the step.
float SpreadScales(const float* values, size_t n, int top, uint8_t* codes) {
  const auto highest = static_cast<float>(top);
  float max = 0;
  for (size_t i = 0; i < n; ++i) max = values[i] > max ? values[i] : max;
  const float inverse = max > 0 ? highest / max : 0.0f;
  for (size_t i = 0; i < n; ++i) {
    codes[i] = static_cast<uint8_t>(reference::NearestInt(inverse * values[i]));
  }
  return max / highest;
}

// The same with the step and codes of the least weighted error that a search finds. A value below
// zero gets a byte that wraps around, and counts as that byte in what follows, as in ggml.
class ScaleFit {
 public:
  ScaleFit(const float* x, const float* w, size_t n, int top, uint8_t* codes)
      : x_(x), w_(w), n_(n), top_(top), codes_(codes) {}

  float Fit() {
    float max = 0;
    for (size_t i = 0; i < n_; ++i) max = std::max(max, x_[i]);
    std::fill_n(codes_, n_, 0);
    if (max < kernels::kNoMagnitude) return 0;
    const float inverse = BestInverse(max);
    for (size_t i = 0; i < n_; ++i) {
      const int code = std::min(top_, reference::NearestInt(inverse * x_[i]));
      codes_[i] = static_cast<uint8_t>(code);
      Add(i, code, xl_, ll_);
    }
    for (int round = 0; round < 5; ++round) {
      bool moved = false;
      for (size_t i = 0; i < n_; ++i) moved |= Move(i);
      if (!moved) break;
    }
    return ll_ > 0 ? xl_ / ll_ : 0.0f;
  }

 private:
  void Add(size_t i, int code, float& xl, float& ll) const {
    const auto l = static_cast<float>(code);
    xl += w_[i] * x_[i] * l;
    ll += w_[i] * l * l;
  }

  // The first candidate counts with codes as bytes, the others with codes as they are.
  float BestInverse(float max) const {
    const auto top = static_cast<float>(top_);
    float best = top / max;
    float best_error = Error(best, [](int code) { return static_cast<uint8_t>(code); });
    for (int i = -4; i <= 4; ++i) {
      if (i == 0) continue;
      const float inverse = (0.1f * static_cast<float>(i) + top) / max;
      const float error = Error(inverse, [this](int code) { return std::min(top_, code); });
      if (error < best_error) {
        best = inverse;
        best_error = error;
      }
    }
    return best;
  }

  template <class Bound>
  float Error(float inverse, const Bound& bound) const {
    const float scale = 1 / inverse;
    float sum = 0;
    for (size_t i = 0; i < n_; ++i) {
      const auto code = static_cast<float>(bound(reference::NearestInt(inverse * x_[i])));
      const float diff = x_[i] - scale * code;
      sum += w_[i] * diff * diff;
    }
    return sum;
  }

  bool Move(size_t i) {
    const auto at = static_cast<float>(codes_[i]);
    float xl = xl_ - w_[i] * x_[i] * at;
    float ll = ll_ - w_[i] * at * at;
    if (!(xl > 0 && ll > 0)) return false;
    const int code = std::min(top_, reference::NearestInt(x_[i] * ll / xl));
    if (code == codes_[i]) return false;
    Add(i, code, xl, ll);
    if (!(xl * xl * ll_ > xl_ * xl_ * ll)) return false;
    codes_[i] = static_cast<uint8_t>(code);
    xl_ = xl;
    ll_ = ll;
    return true;
  }

  const float* x_;
  const float* w_;
  size_t n_;
  int top_;
  uint8_t* codes_;
  float xl_ = 0, ll_ = 0;
};

// Q2_K, Q4_K and Q5_K: scale * code - minimum.
struct AffineFormat {
  size_t sub;
  int scale_top;
  float variance_factor;
  ErrorWeight weighting;
  AffineTrials plain, weighted;
};

constexpr AffineFormat kQ2 = {
    16, 15, 1, ErrorWeight::kMagnitude, {3, -0.5f, 0.1f, 16, true}, {3, -0.9f, 0.05f, 37, false}};
constexpr AffineFormat kQ4 = {32,
                              63,
                              2,
                              ErrorWeight::kMagnitudeAboveRms,
                              {15, -1.0f, 0.1f, 21, false},
                              {15, -0.9f, 0.05f, 37, false}};
constexpr AffineFormat kQ5 = {32,
                              63,
                              2,
                              ErrorWeight::kMagnitudeAboveRms,
                              {31, -0.5f, 0.1f, 16, false},
                              {31, -0.9f, 0.05f, 37, false}};

void SetScales(const uint8_t* scales, const uint8_t* mins, bool, BlockQ2_K& block) {
  for (size_t j = 0; j < 16; ++j) {
    block.scales[j] = static_cast<uint8_t>(scales[j] | mins[j] << 4);
  }
}

void GetScales(const BlockQ2_K& block, uint8_t* scales, uint8_t* mins) {
  for (size_t j = 0; j < 16; ++j) {
    scales[j] = block.scales[j] & 0xF;
    mins[j] = block.scales[j] >> 4;
  }
}

// A byte above 63 comes of a scale below zero. ggml bounds it, but for Q4_K under an importance.
template <class Block>
void SetScales(const uint8_t* scales, const uint8_t* mins, bool bounded, Block& block) {
  uint8_t bounded_scales[8], bounded_mins[8];
  for (size_t j = 0; j < 8; ++j) {
    bounded_scales[j] = bounded ? std::min<uint8_t>(scales[j], 63) : scales[j];
    bounded_mins[j] = bounded ? std::min<uint8_t>(mins[j], 63) : mins[j];
  }
  PackScaleMins(bounded_scales, bounded_mins, block.scales);
}

template <class Block>
void GetScales(const Block& block, uint8_t* scales, uint8_t* mins) {
  UnpackScaleMins(block.scales, scales, mins);
}

template <class Block>
void SealScales(Batch& batch, const AffineFormat& format, bool bounded, const GgmlMath& math,
                Block* blocks) {
  const size_t subs = batch.subs();
  for (size_t i = 0; i < batch.supers; ++i) {
    uint8_t scales[kMaxSubs], mins[kMaxSubs];
    const float* s = batch.scales + i * subs;
    const float* m = batch.mins + i * subs;
    if (batch.importance == nullptr) {
      batch.d[i] = SpreadScales(s, subs, format.scale_top, scales);
      batch.dmin[i] = SpreadScales(m, subs, format.scale_top, mins);
    } else {
      const float* w = batch.sums + i * subs;
      batch.d[i] = ScaleFit(s, w, subs, format.scale_top, scales).Fit();
      batch.dmin[i] = ScaleFit(m, w, subs, format.scale_top, mins).Fit();
    }
    SetScales(scales, mins, bounded, blocks[i]);
  }
  math.round_scales(batch.d, batch.supers, batch.f16_d);
  math.round_scales(batch.dmin, batch.supers, batch.f16_dmin);
  for (size_t i = 0; i < batch.supers; ++i) {
    uint8_t scales[kMaxSubs], mins[kMaxSubs];
    GetScales(blocks[i], scales, mins);
    for (size_t j = 0; j < subs; ++j) {
      batch.divisors[i * subs + j] = batch.d[i] * static_cast<float>(scales[j]);
      batch.shifts[i * subs + j] = batch.dmin[i] * static_cast<float>(mins[j]);
    }
    blocks[i].d = batch.f16_d[i];
    blocks[i].dmin = batch.f16_dmin[i];
  }
}

template <class Block>
void QuantizeAffine(const AffineFormat& format, bool bounded, const GgmlRow& row,
                    const GgmlMath& math, std::byte* out) {
  for (size_t begin = 0; begin < row.cols; begin += kGgmlBatch) {
    Batch batch(row, begin, format.sub);
    Block blocks[kSupers];
    const bool weighted = row.importance != nullptr;
    if (weighted) WeighByImportance(batch, format.variance_factor, math);
    const BlockSpan span = batch.Subs(weighted ? ErrorWeight::kGiven : format.weighting);
    math.search_affine(span, weighted ? format.weighted : format.plain, batch.scales, batch.mins,
                       batch.codes);
    SealScales(batch, format, bounded, math, blocks);
    // Codes under the scales as they are stored; those of the search stay where that is zero.
    math.encode_linear(span, {batch.divisors, batch.shifts, 0, format.plain.top}, batch.codes);
    for (size_t i = 0; i < batch.supers; ++i) {
      PackCodes(batch.codes + i * kGgmlSuperBlock, blocks[i]);
      StoreBlock(blocks[i], out, begin / kGgmlSuperBlock + i);
    }
  }
}

// Scales of both signs, the one of the largest magnitude to -highest - 1.
float SpreadSignedScales(const float* values, float max, int highest, uint8_t* codes) {
  const float inverse = static_cast<float>(-highest - 1) / max;
  for (size_t i = 0; i < kMaxSubs; ++i) {
    const int code = reference::NearestInt(inverse * values[i]);
    codes[i] = static_cast<uint8_t>(std::clamp(code, -highest - 1, highest));
  }
  return 1 / inverse;
}

void SetQ3Scales(Batch& batch, const GgmlMath& math, uint8_t* scales) {
  if (batch.importance != nullptr) {
    math.search_symmetric({batch.scales, kMaxSubs, batch.supers, ErrorWeight::kGiven, batch.sums},
                          32, batch.d, scales);
    return;
  }
  std::fill_n(scales, batch.supers * kMaxSubs, 0);
  for (size_t i = 0; i < batch.supers; ++i) {
    const float* values = batch.scales + i * kMaxSubs;
    const float max = reference::SignedMax(values, kMaxSubs);
    batch.d[i] = 0;
    if (max == 0) continue;
    uint8_t* codes = scales + i * kMaxSubs;
    batch.d[i] = SpreadSignedScales(values, max, 31, codes);
    for (size_t j = 0; j < kMaxSubs; ++j) codes[j] = static_cast<uint8_t>(codes[j] + 32);
  }
}

// scale * code - minimum, sub-block by sub-block.
template <size_t kSub, class Block>
void DequantizeAffine(const Block& block, float* out) {
  uint8_t codes[kGgmlSuperBlock], scales[kMaxSubs], mins[kMaxSubs];
  UnpackCodes(block, codes);
  GetScales(block, scales, mins);
  const float d = reference::DecodeF16(block.d), dmin = reference::DecodeF16(block.dmin);
  for (size_t j = 0; j < kGgmlSuperBlock / kSub; ++j) {
    const float scale = d * static_cast<float>(scales[j]);
    const float min = dmin * static_cast<float>(mins[j]);
    for (size_t i = j * kSub; i < (j + 1) * kSub; ++i) {
      out[i] = scale * static_cast<float>(codes[i]) - min;
    }
  }
}

}  // namespace

void QuantizeQ2_K(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  QuantizeAffine<BlockQ2_K>(kQ2, false, row, math, out);
}

void QuantizeQ4_K(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  QuantizeAffine<BlockQ4_K>(kQ4, row.importance == nullptr, row, math, out);
}

void QuantizeQ5_K(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  QuantizeAffine<BlockQ5_K>(kQ5, true, row, math, out);
}

void QuantizeQ3_K(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  for (size_t begin = 0; begin < row.cols; begin += kGgmlBatch) {
    Batch batch(row, begin, 16);
    const BlockSpan span = batch.Subs(ErrorWeight::kGiven);
    if (batch.importance == nullptr) {
      math.descend_symmetric(batch.x, span.count, batch.scales, batch.codes);
    } else {
      WeighByImportance(batch, 2, math);
      math.search_symmetric(span, 4, batch.scales, batch.codes);
    }
    uint8_t scales[kSupers * kMaxSubs];
    SetQ3Scales(batch, math, scales);
    math.round_scales(batch.d, batch.supers, batch.f16_d);
    for (size_t i = 0; i < span.count; ++i) {
      batch.divisors[i] = batch.d[i / kMaxSubs] * static_cast<float>(scales[i] - 32);
    }
    math.encode_linear(span, {batch.divisors, nullptr, -4, 3}, batch.codes);
    for (size_t i = 0; i < batch.supers; ++i) {
      BlockQ3_K block;
      block.d = batch.f16_d[i];
      PackScales(scales + i * kMaxSubs, block);
      PackCodes(batch.codes + i * kGgmlSuperBlock, block);
      StoreBlock(block, out, begin / kGgmlSuperBlock + i);
    }
  }
}

void QuantizeQ6_K(const GgmlRow& row, const GgmlMath& math, std::byte* out) {
  for (size_t begin = 0; begin < row.cols; begin += kGgmlBatch) {
    Batch batch(row, begin, 16);
    BlockSpan span = batch.Subs(ErrorWeight::kSquare);
    if (batch.importance != nullptr) {
      span.weighting = ErrorWeight::kGiven;
      span.weights = batch.importance;  // as it is
    }
    math.search_symmetric(span, 32, batch.scales, batch.codes);
    BlockQ6_K blocks[kSupers] = {};
    for (size_t i = 0; i < batch.supers; ++i) {
      const float* values = batch.scales + i * kMaxSubs;
      const float max = reference::SignedMax(values, kMaxSubs);
      batch.d[i] = 0;
      if (std::fabs(max) < kernels::kNoMagnitude) {
        std::fill_n(batch.codes + i * kGgmlSuperBlock, kGgmlSuperBlock, 0);
        continue;
      }
      uint8_t scales[kMaxSubs];
      batch.d[i] = SpreadSignedScales(values, max, 127, scales);
      std::memcpy(blocks[i].scales, scales, sizeof(scales));
    }
    math.round_scales(batch.d, batch.supers, batch.f16_d);
    for (size_t i = 0; i < span.count; ++i) {
      const int scale = blocks[i / kMaxSubs].scales[i % kMaxSubs];
      batch.divisors[i] = batch.d[i / kMaxSubs] * static_cast<float>(scale);
    }
    math.encode_linear(span, {batch.divisors, nullptr, -32, 31}, batch.codes);
    for (size_t i = 0; i < batch.supers; ++i) {
      blocks[i].d = batch.f16_d[i];
      PackCodes(batch.codes + i * kGgmlSuperBlock, blocks[i]);
      StoreBlock(blocks[i], out, begin / kGgmlSuperBlock + i);
    }
  }
}

void Dequantize(const BlockQ2_K& block, float* out) { DequantizeAffine<16>(block, out); }
void Dequantize(const BlockQ4_K& block, float* out) { DequantizeAffine<32>(block, out); }
void Dequantize(const BlockQ5_K& block, float* out) { DequantizeAffine<32>(block, out); }

void Dequantize(const BlockQ3_K& block, float* out) {
  uint8_t codes[kGgmlSuperBlock], scales[kMaxSubs];
  UnpackCodes(block, codes);
  UnpackScales(block, scales);
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlSuperBlock; ++i) {
    out[i] = d * static_cast<float>(scales[i / 16] - 32) * static_cast<float>(codes[i] - 4);
  }
}

void Dequantize(const BlockQ6_K& block, float* out) {
  uint8_t codes[kGgmlSuperBlock];
  UnpackCodes(block, codes);
  const float d = reference::DecodeF16(block.d);
  for (size_t i = 0; i < kGgmlSuperBlock; ++i) {
    out[i] = d * static_cast<float>(block.scales[i / 16]) * static_cast<float>(codes[i] - 32);
  }
}

}  // namespace tessera
