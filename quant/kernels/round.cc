#include "quant/kernels/round.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/round.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "quant/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

struct WidenBf16 {
  HWY_INLINE F32Vec operator()(hn::Vec<U16Tag> bits) const { return DecodeBf16(bits); }
};

struct WidenF16 {
  HWY_INLINE F32Vec operator()(hn::Vec<U16Tag> bits) const { return DecodeF16(bits); }
};

struct NarrowToBf16 {
  HWY_INLINE hn::Vec<U16Tag> operator()(F32Vec x) const { return RoundToBf16(x); }
};

struct F16AsBf16 {
  HWY_INLINE hn::Vec<U16Tag> operator()(hn::Vec<U16Tag> bits) const {
    return RoundToBf16(DecodeF16(bits));
  }
};

struct Bf16AsF16 {
  NarrowToF16 narrow;

  HWY_INLINE hn::Vec<U16Tag> operator()(hn::Vec<U16Tag> bits) { return narrow(DecodeBf16(bits)); }
};

void Bf16ToF32(const uint16_t* in, size_t n, float* out) {
  WidenBf16 op;
  ForEachLane(in, n, out, op);
}

void F16ToF32(const uint16_t* in, size_t n, float* out) {
  WidenF16 op;
  ForEachLane(in, n, out, op);
}

void F32ToBf16(const float* in, size_t n, uint16_t* out) {
  NarrowToBf16 op;
  ForEachLane(in, n, out, op);
}

void F16ToBf16(const uint16_t* in, size_t n, uint16_t* out) {
  F16AsBf16 op;
  ForEachLane(in, n, out, op);
}

size_t F32ToF16(const float* in, size_t n, bool saturate, uint16_t* out) {
  NarrowToF16 op{BeyondBits(saturate)};
  ForEachLane(in, n, out, op);
  return op.overflows;
}

size_t Bf16ToF16(const uint16_t* in, size_t n, bool saturate, uint16_t* out) {
  Bf16AsF16 op{{BeyondBits(saturate)}};
  ForEachLane(in, n, out, op);
  return op.narrow.overflows;
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(Bf16ToF32);
HWY_EXPORT(F16ToF32);
HWY_EXPORT(F32ToBf16);
HWY_EXPORT(F16ToBf16);
HWY_EXPORT(F32ToF16);
HWY_EXPORT(Bf16ToF16);

void Bf16ToF32(const uint16_t* in, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(Bf16ToF32)(in, n, out);
}

void F16ToF32(const uint16_t* in, size_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(F16ToF32)(in, n, out);
}

void F32ToBf16(const float* in, size_t n, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(F32ToBf16)(in, n, out);
}

void F16ToBf16(const uint16_t* in, size_t n, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(F16ToBf16)(in, n, out);
}

size_t F32ToF16(const float* in, size_t n, bool saturate, uint16_t* out) {
  return HWY_DYNAMIC_DISPATCH(F32ToF16)(in, n, saturate, out);
}

size_t Bf16ToF16(const uint16_t* in, size_t n, bool saturate, uint16_t* out) {
  return HWY_DYNAMIC_DISPATCH(Bf16ToF16)(in, n, saturate, out);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
