#include "quant/kernels/fp8_errors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/fp8_errors.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <bit>

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void ExpectE4m3Errors(const uint8_t* codes, size_t n, const E4m3Errors& errors, float scale,
                      float* out) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> u32;
  const hn::Rebind<uint8_t, decltype(d)> u8;
  // A float's exponent is added to, so that both are as of exponent 0.
  const auto power = hn::Set(u32, std::bit_cast<uint32_t>(errors.power_of_two) - (2u << 23));
  const auto other = hn::Set(u32, std::bit_cast<uint32_t>(errors.other) - (1u << 23));
  const auto step = [&](auto code) HWY_ATTR {
    const auto bits = hn::PromoteTo(u32, code);
    const auto exponent =
        hn::Max(hn::And(hn::ShiftRight<3>(bits), hn::Set(u32, 15)), hn::Set(u32, 1));
    const auto no_mantissa = hn::Eq(hn::And(bits, hn::Set(u32, 7)), hn::Zero(u32));
    const auto is_power = hn::And(no_mantissa, hn::Gt(exponent, hn::Set(u32, 1)));
    const auto error = hn::Add(hn::IfThenElse(is_power, power, other), hn::ShiftLeft<23>(exponent));
    return hn::Mul(hn::BitCast(d, error), hn::Set(d, scale));
  };
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(step(hn::LoadU(u8, codes + i)), d, out + i);
  uint8_t tail[hn::MaxLanes(d)] = {};
  float found[hn::MaxLanes(d)];
  std::copy(codes + i, codes + n, tail);
  hn::StoreU(step(hn::LoadU(u8, tail)), d, found);
  std::copy_n(found, n - i, out + i);
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(ExpectE4m3Errors);

void ExpectE4m3Errors(const uint8_t* codes, size_t n, const E4m3Errors& errors, float scale,
                      float* out) {
  HWY_DYNAMIC_DISPATCH(ExpectE4m3Errors)(codes, n, errors, scale, out);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
