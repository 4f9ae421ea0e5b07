#include "quant/kernels/ggml_encode.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/ggml_encode.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "quant/ggml_blocks.h"
#include "quant/kernels/ggml_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

void EncodeLinear(const BlockSpan& blocks, const LinearCoding& coding, uint8_t* codes) {
  const StripTag d;
  const auto base = hn::Set(StripI32(), kNearestBits + coding.lowest);
  for (size_t i = 0; i < blocks.count; ++i) {
    if (coding.divisors[i] == 0) continue;
    const auto divisor = hn::Set(d, coding.divisors[i]);
    const auto shift = hn::Set(d, coding.shifts == nullptr ? 0.0f : coding.shifts[i]);
    for (size_t j = i * blocks.length; j < (i + 1) * blocks.length; j += hn::Lanes(d)) {
      const auto scaled = hn::Div(hn::Add(hn::LoadU(d, blocks.x + j), shift), divisor);
      const auto nearest = NearestBits(d, scaled, coding.lowest, coding.highest);
      StoreBytes(hn::Sub(nearest, base), codes + j);
    }
  }
}

void EncodeIq4(const BlockSpan& blocks, const float* inverses, uint8_t* codes) {
  const StripTag d;
  const StripI32 di;
  for (size_t i = 0; i < blocks.count; ++i) {
    const auto inverse = hn::Set(d, inverses[i]);
    for (size_t j = i * blocks.length; j < (i + 1) * blocks.length; j += hn::Lanes(d)) {
      const auto x = hn::Mul(inverse, hn::LoadU(d, blocks.x + j));
      auto code = hn::Set(di, 15);
      for (size_t k = 0; k < 15; ++k) {
        // True is -1.
        const auto below = hn::RebindMask(di, hn::Lt(x, hn::Set(d, IqMidpoint(k))));
        code = hn::Add(code, hn::VecFromMask(di, below));
      }
      StoreBytes(code, codes + j);
    }
  }
}

void EncodeTruncated(const BlockSpan& blocks, const TruncatedCoding& coding, uint8_t* codes) {
  const StripTag d;
  const StripI32 di;
  const auto offset = hn::Set(d, coding.offset);
  const auto top = hn::Set(di, coding.top);
  for (size_t i = 0; i < blocks.count; ++i) {
    const auto inverse = hn::Set(d, coding.inverses[i]);
    const auto shift = hn::Set(d, coding.shifts == nullptr ? 0.0f : coding.shifts[i]);
    for (size_t j = i * blocks.length; j < (i + 1) * blocks.length; j += hn::Lanes(d)) {
      const auto scaled = hn::Mul(hn::Sub(hn::LoadU(d, blocks.x + j), shift), inverse);
      const auto cut = hn::ConvertTo(di, hn::Add(scaled, offset));
      StoreBytes(hn::Min(cut, top), codes + j);
    }
  }
}

// The magnitude's code is how many midpoints it exceeds.
void EncodeE2m1(const BlockSpan& blocks, const float* units, uint8_t* codes) {
  const StripTag d;
  const StripI32 di;
  for (size_t i = 0; i < blocks.count; ++i) {
    for (size_t j = i * blocks.length; j < (i + 1) * blocks.length; j += hn::Lanes(d)) {
      const auto x = hn::LoadU(d, blocks.x + j);
      const auto magnitude = hn::Abs(x);
      auto code = hn::Zero(di);
      for (size_t k = 0; k < 7; ++k) {
        const float midpoint = (kE2m1Doubled[k] + kE2m1Doubled[k + 1]) / 2 * units[i];
        const auto above = hn::RebindMask(di, hn::Gt(magnitude, hn::Set(d, midpoint)));
        code = hn::Sub(code, hn::VecFromMask(di, above));  // true is -1
      }
      const auto negative =
          hn::And(hn::Gt(code, hn::Zero(di)), hn::RebindMask(di, hn::Lt(x, hn::Zero(d))));
      StoreBytes(hn::Add(code, hn::IfThenElseZero(negative, hn::Set(di, 8))), codes + j);
    }
  }
}

HWY_INLINE float LargestMagnitude(const float* x, size_t length) {
  const StripTag d;
  auto largest = hn::Zero(d);
  for (size_t j = 0; j < length; j += hn::Lanes(d)) {
    largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + j)));
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

void FindSignedMax(const BlockSpan& blocks, float* max) {
  const StripTag d;
  for (size_t i = 0; i < blocks.count; ++i) {
    const float* x = blocks.x + i * blocks.length;
    const float largest = LargestMagnitude(x, blocks.length);
    max[i] = 0;
    if (largest == 0) continue;  // +0, whatever the zeros
    for (size_t j = 0; j < blocks.length; j += hn::Lanes(d)) {
      const auto magnitudes = hn::Abs(hn::LoadU(d, x + j));
      const auto at = hn::FindFirstTrue(d, hn::Eq(magnitudes, hn::Set(d, largest)));
      if (at < 0) continue;
      max[i] = x[j + static_cast<size_t>(at)];
      break;
    }
  }
}

void FindRange(const BlockSpan& blocks, float* min, float* max) {
  const StripTag d;
  for (size_t i = 0; i < blocks.count; ++i) {
    const float* x = blocks.x + i * blocks.length;
    auto least = hn::LoadU(d, x), greatest = least;
    for (size_t j = hn::Lanes(d); j < blocks.length; j += hn::Lanes(d)) {
      const auto v = hn::LoadU(d, x + j);
      least = hn::Min(least, v);
      greatest = hn::Max(greatest, v);
    }
    min[i] = hn::GetLane(hn::MinOfLanes(d, least));
    max[i] = hn::GetLane(hn::MaxOfLanes(d, greatest));
    // Which of +0 and -0 comes out depends on the lanes.
    if (min[i] == 0) min[i] = *std::min_element(x, x + blocks.length);
    if (max[i] == 0) max[i] = *std::max_element(x, x + blocks.length);
  }
}

// A block a lane.
void SumSquares(const float* x, size_t length, size_t count, float* sums) {
  const F32Tag df;
  const size_t lanes = hn::Lanes(df);
  HWY_ALIGN float result[hn::MaxLanes(df)];
  for (size_t first = 0; first < count; first += lanes) {
    const size_t blocks = std::min(lanes, count - first);
    const LaneStarts starts(length, blocks);
    auto sum = hn::Zero(df), a = sum, b = sum, c = sum, d = sum;
    for (size_t j = 0; j < length; j += 4) {
      LoadFourColumns(x + first * length + j, starts.data(), a, b, c, d);
      sum = hn::Add(sum, hn::Mul(a, a));
      sum = hn::Add(sum, hn::Mul(b, b));
      sum = hn::Add(sum, hn::Mul(c, c));
      sum = hn::Add(sum, hn::Mul(d, d));
    }
    hn::Store(sum, df, result);
    std::copy_n(result, blocks, sums + first);
  }
}

void WeighImportance(const float* x, const float* importance, size_t n, float variance,
                     float* weights) {
  const StripTag d;
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, x + i);
    const auto root = hn::Sqrt(hn::Add(hn::Set(d, variance), hn::Mul(v, v)));
    hn::StoreU(hn::Mul(hn::LoadU(d, importance + i), root), d, weights + i);
  }
}

struct ToF16 {
  HWY_INLINE auto operator()(F32Vec x) const { return RoundToF16(x, 0x7C00); }
};

struct FromF16 {
  HWY_INLINE F32Vec operator()(hn::Vec<U16Tag> bits) const { return DecodeF16(bits); }
};

void RoundScales(float* scales, size_t n, uint16_t* f16) {
  const ToF16 round;
  const FromF16 decode;
  ForEachLane(scales, n, f16, round);
  ForEachLane(f16, n, scales, decode);
}

// Ties away from zero: the float below 1/2 carries over the next integer exactly where 1/2 should.
HWY_INLINE hn::Vec<StripI32> RoundAway(StripVec x) {
  const StripTag d;
  return hn::ConvertTo(StripI32(), hn::Add(x, hn::CopySign(hn::Set(d, 0x1.fffffep-2f), x)));
}

void QuantizeQ8_0(const float* x, size_t blocks, std::byte* out) {
  constexpr size_t kBatch = 64;
  const StripTag d;
  const hn::Rebind<int8_t, StripTag> d8;
  float scales[kBatch], inverses[kBatch];
  uint16_t f16[kBatch];
  for (size_t first = 0; first < blocks; first += kBatch) {
    const size_t n = std::min(kBatch, blocks - first);
    for (size_t i = 0; i < n; ++i)
      scales[i] = LargestMagnitude(x + i * kGgmlBlock, kGgmlBlock) / 127;
    for (size_t i = 0; i < n; ++i) {
      const float inverse = 1 / scales[i];
      inverses[i] = inverse <= std::numeric_limits<float>::max() ? inverse : 0.0f;
    }
    RoundScales(scales, n, f16);
    for (size_t i = 0; i < n; ++i, x += kGgmlBlock) {
      BlockQ8_0 block;
      block.d = f16[i];
      const auto inverse = hn::Set(d, inverses[i]);
      for (size_t j = 0; j < kGgmlBlock; j += hn::Lanes(d)) {
        const auto codes = RoundAway(hn::Mul(hn::LoadU(d, x + j), inverse));
        hn::StoreU(hn::DemoteTo(d8, codes), d8, block.codes + j);
      }
      StoreBlock(block, out, first + i);
    }
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(EncodeLinear);
HWY_EXPORT(EncodeIq4);
HWY_EXPORT(EncodeTruncated);
HWY_EXPORT(EncodeE2m1);
HWY_EXPORT(FindSignedMax);
HWY_EXPORT(FindRange);
HWY_EXPORT(SumSquares);
HWY_EXPORT(WeighImportance);
HWY_EXPORT(RoundScales);
HWY_EXPORT(QuantizeQ8_0);

void EncodeLinear(const BlockSpan& blocks, const LinearCoding& coding, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(EncodeLinear)(blocks, coding, codes);
}

void EncodeIq4(const BlockSpan& blocks, const float* inverses, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(EncodeIq4)(blocks, inverses, codes);
}

void EncodeTruncated(const BlockSpan& blocks, const TruncatedCoding& coding, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(EncodeTruncated)(blocks, coding, codes);
}

void EncodeE2m1(const BlockSpan& blocks, const float* units, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(EncodeE2m1)(blocks, units, codes);
}

void FindSignedMax(const BlockSpan& blocks, float* max) {
  HWY_DYNAMIC_DISPATCH(FindSignedMax)(blocks, max);
}

void FindRange(const BlockSpan& blocks, float* min, float* max) {
  HWY_DYNAMIC_DISPATCH(FindRange)(blocks, min, max);
}

void SumSquares(const float* x, size_t length, size_t count, float* sums) {
  HWY_DYNAMIC_DISPATCH(SumSquares)(x, length, count, sums);
}

void WeighImportance(const float* x, const float* importance, size_t n, float variance,
                     float* weights) {
  HWY_DYNAMIC_DISPATCH(WeighImportance)(x, importance, n, variance, weights);
}

void RoundScales(float* scales, size_t n, uint16_t* f16) {
  HWY_DYNAMIC_DISPATCH(RoundScales)(scales, n, f16);
}

void QuantizeQ8_0(const float* x, size_t blocks, std::byte* out) {
  HWY_DYNAMIC_DISPATCH(QuantizeQ8_0)(x, blocks, out);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
