// Number formats in F32 lanes, once per SIMD target. Everything here is integer arithmetic or one
// IEEE operation: Highway leaves f32 -> bf16 rounding unspecified, AVX-512's instruction for it
// flushes subnormals, F16C quiets NaNs and MulAdd fuses on some targets only. Any of those would
// make output bytes depend on the CPU.
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(TESSERA_QUANT_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_QUANT_KERNELS_LANES_INL_H_
#undef TESSERA_QUANT_KERNELS_LANES_INL_H_
#else
#define TESSERA_QUANT_KERNELS_LANES_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32Tag = hn::ScalableTag<float>;
using I32Tag = hn::RebindToSigned<F32Tag>;
using U32Tag = hn::RebindToUnsigned<F32Tag>;
using U16Tag = hn::Rebind<uint16_t, F32Tag>;  // as many lanes as F32Tag, half as wide
using U8Tag = hn::Rebind<uint8_t, F32Tag>;
using F32Vec = hn::Vec<F32Tag>;
using I32Vec = hn::Vec<I32Tag>;
using U32Vec = hn::Vec<U32Tag>;

inline constexpr int32_t kInfinityBits = 0x7F800000;

// |x| as bits; these compare like the values, NaN above infinity.
HWY_INLINE I32Vec MagnitudeBits(F32Vec x) {
  const I32Tag di;
  return hn::And(hn::BitCast(di, x), hn::Set(di, 0x7FFFFFFF));
}

// The sign of x, moved from bit 31 to bit 31 - kShift.
template <int kShift>
HWY_INLINE I32Vec SignBit(F32Vec x) {
  const U32Tag du;
  const auto sign = hn::And(hn::BitCast(du, x), hn::Set(du, 0x80000000u));
  return hn::BitCast(I32Tag(), hn::ShiftRight<kShift>(sign));
}

// Drops kDrop bits of the fraction, nearest even, after moving the exponent down by kRebias.
template <int kDrop, int kRebias>
HWY_INLINE I32Vec RoundNormal(I32Vec magnitude) {
  const I32Tag di;
  const auto odd = hn::And(hn::ShiftRight<kDrop>(magnitude), hn::Set(di, 1));
  const auto bias = hn::Set(di, (1 << (kDrop - 1)) - 1 - kRebias * (1 << 23));
  return hn::ShiftRight<kDrop>(hn::Add(magnitude, hn::Add(odd, bias)));
}

// Rounds to a multiple of the last place of `anchor` and returns how many: for subnormal results.
HWY_INLINE I32Vec RoundSubnormal(I32Vec magnitude, float anchor) {
  const F32Tag df;
  const I32Tag di;
  const auto base = hn::Set(df, anchor);
  return hn::Sub(hn::BitCast(di, hn::Add(hn::BitCast(df, magnitude), base)), hn::BitCast(di, base));
}

HWY_INLINE auto RoundToBf16(F32Vec x) {
  const I32Tag di;
  const auto magnitude = MagnitudeBits(x);
  const auto rounded = hn::Or(RoundNormal<16, 0>(magnitude), SignBit<16>(x));
  const auto is_nan = hn::Gt(magnitude, hn::Set(di, kInfinityBits));
  const auto bits = hn::IfThenElse(is_nan, hn::Set(di, 0x7FC0), rounded);
  return hn::TruncateTo(U16Tag(), hn::BitCast(U32Tag(), bits));
}

// Finite values that no F16 can hold: 65520 and up, since nearest even takes those to 65536.
HWY_INLINE auto BeyondF16(I32Vec magnitude) {
  const I32Tag di;
  return hn::And(hn::Gt(magnitude, hn::Set(di, 0x477FEFFF)),
                 hn::Lt(magnitude, hn::Set(di, kInfinityBits)));
}

// `beyond` is what values beyond the range become: 0x7C00 (infinity) or 0x7BFF (65504).
HWY_INLINE auto RoundToF16(F32Vec x, int32_t beyond) {
  const I32Tag di;
  const auto magnitude = MagnitudeBits(x);
  const auto tiny = hn::Lt(magnitude, hn::Set(di, 0x38800000));  // below 2^-14
  auto bits =
      hn::IfThenElse(tiny, RoundSubnormal(magnitude, 0x1p-1f), RoundNormal<13, 112>(magnitude));
  bits = hn::Min(bits, hn::Set(di, 0x7C00));
  bits = hn::IfThenElse(BeyondF16(magnitude), hn::Set(di, beyond), bits);
  bits = hn::Or(bits, SignBit<16>(x));
  const auto is_nan = hn::Gt(magnitude, hn::Set(di, kInfinityBits));
  bits = hn::IfThenElse(is_nan, hn::Set(di, 0x7E00), bits);
  return hn::TruncateTo(U16Tag(), hn::BitCast(U32Tag(), bits));
}

// Counts what it clips or makes infinite.
struct NarrowToF16 {
  int32_t beyond;
  size_t overflows = 0;

  HWY_INLINE hn::Vec<U16Tag> operator()(F32Vec x) {
    overflows += hn::CountTrue(I32Tag(), BeyondF16(MagnitudeBits(x)));
    return RoundToF16(x, beyond);
  }
};

constexpr int32_t BeyondBits(bool saturate) { return saturate ? 0x7BFF : 0x7C00; }

HWY_INLINE auto RoundToE4m3(F32Vec x) {
  const I32Tag di;
  const auto magnitude = MagnitudeBits(x);
  const auto tiny = hn::Lt(magnitude, hn::Set(di, 0x3C800000));  // below 2^-6
  auto bits =
      hn::IfThenElse(tiny, RoundSubnormal(magnitude, 0x1p14f), RoundNormal<20, 120>(magnitude));
  bits = hn::Min(bits, hn::Set(di, 0x7E));
  bits = hn::Or(bits, SignBit<24>(x));
  const auto is_nan = hn::Gt(magnitude, hn::Set(di, kInfinityBits));
  bits = hn::IfThenElse(is_nan, hn::Set(di, 0x7F), bits);
  return hn::TruncateTo(U8Tag(), hn::BitCast(U32Tag(), bits));
}

// A sign in bit 31, from a narrower one.
template <int kShift>
HWY_INLINE F32Vec WithSign(F32Vec magnitude, U32Vec narrow) {
  const U32Tag du;
  const auto sign = hn::And(hn::ShiftLeft<kShift>(narrow), hn::Set(du, 0x80000000u));
  return hn::BitCast(F32Tag(), hn::Or(hn::BitCast(du, magnitude), sign));
}

HWY_INLINE F32Vec DecodeE4m3(hn::Vec<U8Tag> code) {
  const F32Tag df;
  const U32Tag du;
  const auto wide = hn::PromoteTo(du, code);
  const auto magnitude = hn::And(wide, hn::Set(du, 0x7Fu));
  // With its bits moved into F32's fields the value is 2^(127-7) too small, subnormals included;
  // the multiply is exact. Not folded into the block scale: scale * 2^120 may overflow.
  const auto value = hn::Mul(hn::BitCast(df, hn::ShiftLeft<20>(magnitude)), hn::Set(df, 0x1p120f));
  const auto is_nan = hn::RebindMask(df, hn::Eq(magnitude, hn::Set(du, 0x7Fu)));
  return WithSign<24>(hn::IfThenElse(is_nan, hn::NaN(df), value), wide);
}

// F16's fields, in the low 16 bits of each lane. NaNs keep their payload, signalling ones too.
HWY_INLINE F32Vec DecodeF16Bits(U32Vec wide) {
  const F32Tag df;
  const U32Tag du;
  const auto magnitude = hn::And(wide, hn::Set(du, 0x7FFFu));
  const auto value = hn::Mul(hn::BitCast(df, hn::ShiftLeft<13>(magnitude)), hn::Set(df, 0x1p112f));
  const auto special = hn::Gt(hn::BitCast(I32Tag(), magnitude), hn::Set(I32Tag(), 0x7BFF));
  const auto top = hn::IfThenElseZero(hn::RebindMask(du, special), hn::Set(du, 0x7F800000u));
  return WithSign<16>(hn::BitCast(df, hn::Or(hn::BitCast(du, value), top)), wide);
}

HWY_INLINE F32Vec DecodeF16(hn::Vec<U16Tag> bits) {
  return DecodeF16Bits(hn::PromoteTo(U32Tag(), bits));
}

// E5M2 is F16 without its last 8 bits.
HWY_INLINE F32Vec DecodeE5m2(hn::Vec<U8Tag> code) {
  return DecodeF16Bits(hn::ShiftLeft<8>(hn::PromoteTo(U32Tag(), code)));
}

HWY_INLINE F32Vec DecodeBf16(hn::Vec<U16Tag> bits) {
  return hn::BitCast(F32Tag(), hn::ShiftLeft<16>(hn::PromoteTo(U32Tag(), bits)));
}

// A product's NaN differs between targets in sign and payload: all become the one quiet NaN.
HWY_INLINE F32Vec OneNan(F32Vec x) {
  const F32Tag df;
  const auto quiet = hn::BitCast(df, hn::Set(U32Tag(), 0x7FC00000u));
  return hn::IfThenElse(hn::IsNaN(x), quiet, x);
}

// out[i] = op(in[i]), a vector at a time. Goes through memory unaligned or by memcpy only, so that
// tensors may lie at odd addresses. `op` sees zeros past the end.
template <class TIn, class TOut, class Op>
HWY_INLINE void ForEachLane(const TIn* in, size_t n, TOut* out, Op& op) {
  const F32Tag df;
  const hn::Rebind<TIn, F32Tag> d_in;
  const hn::Rebind<TOut, F32Tag> d_out;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(op(hn::LoadU(d_in, in + i)), d_out, out + i);
  }
  if (i == n) return;
  TIn tail[hn::MaxLanes(df)] = {};
  TOut result[hn::MaxLanes(df)];
  std::memcpy(tail, in + i, (n - i) * sizeof(TIn));
  hn::StoreU(op(hn::LoadU(d_in, tail)), d_out, result);
  std::memcpy(out + i, result, (n - i) * sizeof(TOut));
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
