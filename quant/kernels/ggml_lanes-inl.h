// What the kernels of ggml's block types share, once per SIMD target.
#include "quant/kernels/lanes-inl.h"

#if defined(TESSERA_QUANT_KERNELS_GGML_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_QUANT_KERNELS_GGML_LANES_INL_H_
#undef TESSERA_QUANT_KERNELS_GGML_LANES_INL_H_
#else
#define TESSERA_QUANT_KERNELS_GGML_LANES_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

// 1.5 * 2^23: added to a float it leaves the nearest integer in the low bits of the sum.
constexpr float kNearestAnchor = 0x1.8p23f;
constexpr int32_t kNearestBits = 0x4B400000;

// Nearest integer to x within bounds, plus kNearestBits. Only the fraction of the sum counts, so
// that what lies beyond 2^22, infinities and NaNs become what ggml makes of them.
template <class DF>
HWY_INLINE hn::Vec<hn::RebindToSigned<DF>> NearestBits(DF df, hn::Vec<DF> x, int lowest,
                                                       int highest) {
  const hn::RebindToSigned<DF> di;
  const auto sum = hn::BitCast(di, hn::Add(x, hn::Set(df, kNearestAnchor)));
  const auto bits = hn::Or(hn::And(sum, hn::Set(di, 0x7FFFFF)), hn::Set(di, 0x4B000000));
  return hn::Min(hn::Max(bits, hn::Set(di, kNearestBits + lowest)),
                 hn::Set(di, kNearestBits + highest));
}

template <class DF>
HWY_INLINE hn::Vec<DF> NearestWithin(DF df, hn::Vec<DF> x, int lowest, int highest) {
  return hn::Sub(hn::BitCast(df, NearestBits(df, x, lowest, highest)), hn::Set(df, kNearestAnchor));
}

// Half way between IQ4's levels; what lies on one belongs to the upper level. ggml subtracts and
// compares instead, which comes to the same: near the middle both differences are exact.
constexpr float IqMidpoint(size_t k) { return (kIq4Levels[k] + kIq4Levels[k + 1]) / 2; }

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
