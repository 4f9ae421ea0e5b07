#include "quant/kernels/fp8_encode.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/fp8_encode.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "quant/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

HWY_INLINE uint32_t AbsMax(const float* in, size_t n) {
  const F32Tag df;
  const I32Tag di;
  const size_t lanes = hn::Lanes(df);
  auto largest = hn::Zero(di);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    largest = hn::Max(largest, MagnitudeBits(hn::LoadU(df, in + i)));
  }
  if (i < n) {
    float tail[hn::MaxLanes(df)] = {};
    std::memcpy(tail, in + i, (n - i) * sizeof(float));
    largest = hn::Max(largest, MagnitudeBits(hn::LoadU(df, tail)));
  }
  int32_t by_lane[hn::MaxLanes(di)];
  hn::StoreU(largest, di, by_lane);
  return static_cast<uint32_t>(*std::max_element(by_lane, by_lane + lanes));
}

void RaiseAbsMax(const float* row, size_t cols, uint32_t block_cols, uint32_t* amax) {
  for (size_t begin = 0, block = 0; begin < cols; begin += block_cols, ++block) {
    const size_t n = std::min<size_t>(block_cols, cols - begin);
    amax[block] = std::max(amax[block], AbsMax(row + begin, n));
  }
}

struct Encode {
  float scale;
  size_t not_finite = 0;

  HWY_INLINE hn::Vec<U8Tag> operator()(F32Vec x) {
    const I32Tag di;
    not_finite += hn::CountTrue(di, hn::Gt(MagnitudeBits(x), hn::Set(di, kInfinityBits - 1)));
    return RoundToE4m3(hn::Div(x, hn::Set(F32Tag(), scale)));
  }
};

size_t F32ToE4m3(const float* row, size_t cols, const float* scales, uint32_t block_cols,
                 uint8_t* out) {
  size_t not_finite = 0;
  for (size_t begin = 0, block = 0; begin < cols; begin += block_cols, ++block) {
    const size_t n = std::min<size_t>(block_cols, cols - begin);
    const float scale = scales[block] == 0 ? std::copysign(1.0f, scales[block]) : scales[block];
    Encode op{scale};
    ForEachLane(row + begin, n, out + begin, op);
    not_finite += op.not_finite;
  }
  return not_finite;
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(RaiseAbsMax);
HWY_EXPORT(F32ToE4m3);

void RaiseAbsMax(const float* row, size_t cols, uint32_t block_cols, uint32_t* amax) {
  HWY_DYNAMIC_DISPATCH(RaiseAbsMax)(row, cols, block_cols, amax);
}

size_t F32ToE4m3(const float* row, size_t cols, const float* scales, uint32_t block_cols,
                 uint8_t* out) {
  return HWY_DYNAMIC_DISPATCH(F32ToE4m3)(row, cols, scales, block_cols, out);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
