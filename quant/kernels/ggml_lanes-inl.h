// What the kernels of ggml's block types share, once per SIMD target.
#include <algorithm>

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

// Values 0 to 3 after each start: lane i of `a` is x[starts[i]], of `b` the value after it, ...
HWY_INLINE void LoadFourColumns(const float* x, const uint32_t* starts, F32Vec& a, F32Vec& b,
                                F32Vec& c, F32Vec& d) {
  const F32Tag df;
#if HWY_TARGET == HWY_SCALAR
  a = hn::LoadU(df, x + starts[0]);
  b = hn::LoadU(df, x + starts[0] + 1);
  c = hn::LoadU(df, x + starts[0] + 2);
  d = hn::LoadU(df, x + starts[0] + 3);
#else
  // Lanes 0, 4, 8, ... in one vector's blocks of 128 bits, lanes 1, 5, 9, ... in the next: a
  // transposition within those blocks is all that is left. Gathers are slower by far.
  const hn::Repartition<uint64_t, F32Tag> d64;
  const size_t lanes = hn::Lanes(df);
  HWY_ALIGN float rows[4 * hn::MaxLanes(df)];
  for (size_t i = 0; i < lanes; ++i) {
    std::memcpy(rows + i % 4 * lanes + i / 4 * 4, x + starts[i], 4 * sizeof(float));
  }
  const auto row0 = hn::Load(df, rows), row1 = hn::Load(df, rows + lanes);
  const auto row2 = hn::Load(df, rows + 2 * lanes), row3 = hn::Load(df, rows + 3 * lanes);
  const auto low01 = hn::BitCast(d64, hn::InterleaveLower(df, row0, row1));
  const auto low23 = hn::BitCast(d64, hn::InterleaveLower(df, row2, row3));
  const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(df, row0, row1));
  const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(df, row2, row3));
  a = hn::BitCast(df, hn::InterleaveLower(d64, low01, low23));
  b = hn::BitCast(df, hn::InterleaveUpper(d64, low01, low23));
  c = hn::BitCast(df, hn::InterleaveLower(d64, high01, high23));
  d = hn::BitCast(df, hn::InterleaveUpper(d64, high01, high23));
#endif
}

// Where the blocks of a vector begin. Where fewer are left the last one fills the lanes that
// remain.
class LaneStarts {
 public:
  // Blocks one after another, from x on.
  LaneStarts(size_t length, size_t blocks) {
    for (size_t i = 0; i < hn::Lanes(F32Tag()); ++i) {
      starts_[i] = static_cast<uint32_t>(std::min(i, blocks - 1) * length);
    }
  }
  // Blocks by their numbers, as many as there are lanes.
  LaneStarts(size_t length, const uint32_t* numbers) {
    for (size_t i = 0; i < hn::Lanes(F32Tag()); ++i) {
      starts_[i] = static_cast<uint32_t>(numbers[i] * length);
    }
  }
  const uint32_t* data() const { return starts_; }

 private:
  uint32_t starts_[hn::MaxLanes(F32Tag())];
};

// Half way between IQ4's levels; what lies on one belongs to the upper level. ggml subtracts and
// compares instead, which comes to the same: near the middle both differences are exact.
constexpr float IqMidpoint(size_t k) { return (kIq4Levels[k] + kIq4Levels[k + 1]) / 2; }

// Rows of blocks, whose lengths are whole strips of 16.
using StripTag = hn::CappedTag<float, 16>;
using StripI32 = hn::RebindToSigned<StripTag>;
using StripVec = hn::Vec<StripTag>;

HWY_INLINE void StoreBytes(hn::Vec<StripI32> codes, uint8_t* out) {
  const hn::Rebind<uint8_t, StripTag> d8;
  hn::StoreU(hn::DemoteTo(d8, codes), d8, out);
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
