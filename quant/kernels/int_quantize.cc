#include "quant/kernels/int_quantize.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/int_quantize.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "quant/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

// At most as wide as there are lanes to sum in; narrower vectors take a strip of 16 values in
// several goes.
using StripTag = hn::CappedTag<float, kSumLanes>;
using StripI32 = hn::RebindToSigned<StripTag>;
using StripU32 = hn::RebindToUnsigned<StripTag>;
using StripVec = hn::Vec<StripTag>;

// Values in strips of 16, zeros past the end.
class Strips {
 public:
  Strips(const float* x, size_t n) : x_(x), whole_(n / kSumLanes * kSumLanes), ragged_(whole_ < n) {
    if (ragged_) std::memcpy(tail_, x + whole_, (n - whole_) * sizeof(float));
  }

  // op(vector, index) of lanes [lane, lane + Lanes) of every strip.
  template <class Op>
  HWY_INLINE void ForEach(size_t lane, const Op& op) const {
    const StripTag d;
    for (size_t i = lane; i < whole_; i += kSumLanes) op(hn::LoadU(d, x_ + i), i);
    if (ragged_) op(hn::LoadU(d, tail_ + lane), whole_ + lane);
  }

 private:
  const float* x_;
  size_t whole_;
  bool ragged_;
  float tail_[kSumLanes] = {};
};

// lanes[i] += lanes[i + kHalf].
template <size_t kHalf>
HWY_INLINE void AddHalves(float* lanes) {
  const hn::CappedTag<float, kHalf> d;
  for (size_t i = 0; i < kHalf; i += hn::Lanes(d)) {
    hn::StoreU(hn::Add(hn::LoadU(d, lanes + i), hn::LoadU(d, lanes + i + kHalf)), d, lanes + i);
  }
}

HWY_INLINE float AddLanes(float* lanes) {
  AddHalves<8>(lanes);
  AddHalves<4>(lanes);
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

// Nearest even, for |x| up to 2^22: what is below one has no place beside 1.5 * 2^23.
constexpr float kNearest = 0x1.8p23f;

HWY_INLINE StripVec NearestWithin(StripVec x, StripVec lowest, StripVec highest) {
  const auto nearest = hn::Set(StripTag(), kNearest);
  return hn::Sub(hn::Add(hn::Min(hn::Max(x, lowest), highest), nearest), nearest);
}

HWY_INLINE IntExtremes ExtremesOf(const float* x, size_t n) {
  const StripTag d;
  const StripI32 di;
  const auto magnitude_mask = hn::Set(di, 0x7FFFFFFF);
  const size_t lanes = hn::Lanes(d);
  auto min = hn::Set(d, x[0]), max = min;
  auto magnitude = hn::And(hn::BitCast(di, min), magnitude_mask);
  const auto include = [&](StripVec v) HWY_ATTR {
    min = hn::Min(min, v);
    max = hn::Max(max, v);
    magnitude = hn::Max(magnitude, hn::And(hn::BitCast(di, v), magnitude_mask));
  };
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) include(hn::LoadU(d, x + i));
  if (i < n) {
    float tail[kSumLanes];  // what lies past the end is as good as the first value
    std::fill_n(tail, lanes, x[0]);
    std::copy_n(x + i, n - i, tail);
    include(hn::LoadU(d, tail));
  }
  return {hn::GetLane(hn::MinOfLanes(d, min)), hn::GetLane(hn::MaxOfLanes(d, max)),
          static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, magnitude)))};
}

// op(first column, columns, index) of every group.
template <class Op>
HWY_INLINE void ForEachGroup(const IntRow& row, const Op& op) {
  for (size_t begin = 0, group = 0; begin < row.cols; begin += row.group_cols, ++group) {
    op(begin, std::min(row.group_cols, row.cols - begin), group);
  }
}

void FindExtremes(const IntRow& row, IntExtremes* extremes) {
  ForEachGroup(row, [&](size_t begin, size_t n, size_t group)
                        HWY_ATTR { extremes[group] = ExtremesOf(row.x + begin, n); });
}

HWY_INLINE StripVec SquaredError(StripVec x, const IntCandidate& candidate) {
  const StripTag d;
  const auto y = hn::Mul(x, hn::Set(d, candidate.inverse));
  const auto bounded =
      NearestWithin(y, hn::Set(d, candidate.lowest), hn::Set(d, candidate.highest));
  const auto error = hn::Sub(y, bounded);
  return hn::Mul(error, error);
}

// Four candidates share each load, and their sums do not wait for one another.
void SquaredErrors(const float* x, size_t n, const IntCandidate* candidates, size_t count,
                   float* errors) {
  const StripTag d;
  const Strips strips(x, n);
  for (size_t k = 0; k < count; k += 4) {
    const auto at = [&](size_t i) { return candidates[std::min(k + i, count - 1)]; };
    const IntCandidate a = at(0), b = at(1), c = at(2), e = at(3);
    float sums[4][kSumLanes];
    for (size_t lane = 0; lane < kSumLanes; lane += hn::Lanes(d)) {
      auto sum_a = hn::Zero(d), sum_b = hn::Zero(d), sum_c = hn::Zero(d), sum_e = hn::Zero(d);
      strips.ForEach(lane, [&](StripVec v, size_t) HWY_ATTR {
        sum_a = hn::Add(sum_a, SquaredError(v, a));
        sum_b = hn::Add(sum_b, SquaredError(v, b));
        sum_c = hn::Add(sum_c, SquaredError(v, c));
        sum_e = hn::Add(sum_e, SquaredError(v, e));
      });
      hn::StoreU(sum_a, d, sums[0] + lane);
      hn::StoreU(sum_b, d, sums[1] + lane);
      hn::StoreU(sum_c, d, sums[2] + lane);
      hn::StoreU(sum_e, d, sums[3] + lane);
    }
    for (size_t i = 0; i < 4 && k + i < count; ++i) errors[k + i] = AddLanes(sums[i]);
  }
}

// Finite values only.
HWY_INLINE StripVec ToBf16(StripVec x) {
  const StripU32 du;
  const auto bits = hn::BitCast(du, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7FFFu)));
  return hn::BitCast(StripTag(), hn::And(rounded, hn::Set(du, 0xFFFF0000u)));
}

// Finite values within F16's range only. Adding an anchor whose last place is the wanted one
// rounds; F16's subnormals all have that of 2^-14.
HWY_INLINE StripVec ToF16(StripVec x) {
  const StripTag d;
  const StripI32 di;
  const auto exponent = hn::And(hn::BitCast(di, x), hn::Set(di, kInfinityBits));
  const auto at_least = hn::Max(exponent, hn::Set(di, (127 - 14) << 23));
  const auto anchor = hn::BitCast(d, hn::Add(at_least, hn::Set(di, 13 << 23)));
  const auto magnitude = hn::Sub(hn::Add(hn::Abs(x), anchor), anchor);
  return hn::CopySignToAbs(magnitude, x);
}

// The divisor is a BF16 here, or an F16. A quotient a / b of significands of 8 and up to 11 bits is
// no tie of BF16, that is, no odd m of 9 bits: m would have to divide a. It is off by at least 1 in
// b * m, a part in 2^20. Multiplying by the inverse is within a part in 2^22 of the quotient, and
// so rounds to the same BF16. Subnormal results may differ: their code is 0 either way.
HWY_INLINE StripVec Bf16Quotient(StripVec x, const IntCoding& coding) {
  return ToBf16(hn::Mul(ToBf16(x), hn::Set(StripTag(), coding.inverse)));
}

// What CodeOf in reference_int.cc says, for one arithmetic.
template <IntArithmetic kArithmetic>
HWY_INLINE StripVec CodeOf(StripVec x, StripVec y, const IntCoding& coding) {
  const StripTag d;
  const auto divisor = hn::Set(d, coding.divisor);
  const auto lowest = hn::Set(d, static_cast<float>(coding.lowest - coding.zero));
  const auto highest = hn::Set(d, static_cast<float>(coding.highest - coding.zero));
  if constexpr (kArithmetic == IntArithmetic::kInverse) {
    return NearestWithin(y, lowest, highest);
  } else if constexpr (kArithmetic == IntArithmetic::kF32) {
    return NearestWithin(hn::Div(ToBf16(x), divisor), lowest, highest);
  } else if constexpr (kArithmetic == IntArithmetic::kF32Truncate) {
    const auto bounded = hn::Min(hn::Max(hn::Div(ToBf16(x), divisor), lowest), highest);
    return hn::Trunc(bounded);
  } else if constexpr (kArithmetic == IntArithmetic::kBf16) {
    const auto quotient = Bf16Quotient(x, coding);
    if (coding.zero == 0) return NearestWithin(quotient, lowest, highest);
    const auto zero = hn::Set(d, static_cast<float>(coding.zero));
    const auto shifted = ToBf16(hn::Add(quotient, zero));
    return hn::Sub(NearestWithin(shifted, hn::Add(lowest, zero), hn::Add(highest, zero)), zero);
  } else {
    return NearestWithin(ToF16(hn::Div(ToF16(ToBf16(x)), divisor)), lowest, highest);
  }
}

template <IntArithmetic kArithmetic>
HWY_INLINE void EncodeGroup(const float* x, size_t n, const IntCoding coding, int8_t* codes,
                            IntSums& sums) {
  const StripTag d;
  const StripU32 du;
  const hn::Rebind<uint8_t, StripTag> d8;
  const Strips strips(x, n);
  const auto below = hn::Set(d, static_cast<float>(coding.lowest - coding.zero) - 0.5f);
  const auto above = hn::Set(d, static_cast<float>(coding.highest - coding.zero) + 0.5f);
  // Beside this the last bits of a float are those of a small integer added to it.
  const auto stored_zero = hn::Set(d, kNearest + static_cast<float>(coding.zero));
  const size_t whole = n / kSumLanes * kSumLanes;
  auto* bytes = reinterpret_cast<uint8_t*>(codes);
  uint8_t tail[kSumLanes];
  float squared[kSumLanes], crossed[kSumLanes], code_squared[kSumLanes];
  uint64_t saturated = 0;
  for (size_t lane = 0; lane < kSumLanes; lane += hn::Lanes(d)) {
    auto sum_squared = hn::Zero(d), sum_crossed = hn::Zero(d), sum_code = hn::Zero(d);
    strips.ForEach(lane, [&](StripVec v, size_t i) HWY_ATTR {
      const auto y = hn::Mul(v, hn::Set(d, coding.inverse));
      const auto code = CodeOf<kArithmetic>(v, y, coding);
      const auto stored = hn::BitCast(du, hn::Add(code, stored_zero));
      hn::StoreU(hn::TruncateTo(d8, stored), d8, i < whole ? bytes + i : tail + lane);
      const auto error = hn::Sub(y, code);
      sum_squared = hn::Add(sum_squared, hn::Mul(error, error));
      sum_crossed = hn::Add(sum_crossed, hn::Mul(error, code));
      sum_code = hn::Add(sum_code, hn::Mul(code, code));
      saturated += hn::CountTrue(d, hn::Or(hn::Lt(y, below), hn::Gt(y, above)));
    });
    hn::StoreU(sum_squared, d, squared + lane);
    hn::StoreU(sum_crossed, d, crossed + lane);
    hn::StoreU(sum_code, d, code_squared + lane);
  }
  if (whole < n) std::memcpy(bytes + whole, tail, n - whole);
  sums = {AddLanes(squared), AddLanes(crossed), AddLanes(code_squared), saturated};
}

template <IntArithmetic kArithmetic>
void EncodeWith(const IntRow& row, const IntCoding* codings, int8_t* codes, IntSums* sums) {
  ForEachGroup(row, [&](size_t begin, size_t n, size_t group) HWY_ATTR {
    EncodeGroup<kArithmetic>(row.x + begin, n, codings[group], codes + begin, sums[group]);
  });
}

void EncodeInts(const IntRow& row, const IntCoding* codings, int8_t* codes, IntSums* sums) {
  if (row.cols == 0) return;
  switch (codings[0].arithmetic) {
    case IntArithmetic::kInverse:
      return EncodeWith<IntArithmetic::kInverse>(row, codings, codes, sums);
    case IntArithmetic::kF32:
      return EncodeWith<IntArithmetic::kF32>(row, codings, codes, sums);
    case IntArithmetic::kF32Truncate:
      return EncodeWith<IntArithmetic::kF32Truncate>(row, codings, codes, sums);
    case IntArithmetic::kBf16:
      return EncodeWith<IntArithmetic::kBf16>(row, codings, codes, sums);
    case IntArithmetic::kF16:
      return EncodeWith<IntArithmetic::kF16>(row, codings, codes, sums);
  }
}

struct Dequantize {
  int zero;
  float scale;

  HWY_INLINE F32Vec operator()(hn::Vec<hn::Rebind<int8_t, F32Tag>> code) const {
    const I32Tag di;
    const auto number = hn::Sub(hn::PromoteTo(di, code), hn::Set(di, zero));
    return OneNan(hn::Mul(hn::ConvertTo(F32Tag(), number), hn::Set(F32Tag(), scale)));
  }
};

void IntsToF32(const int8_t* codes, size_t n, int zero, float scale, float* out) {
  const Dequantize op{zero, scale};
  ForEachLane(codes, n, out, op);
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(FindExtremes);
HWY_EXPORT(SquaredErrors);
HWY_EXPORT(EncodeInts);
HWY_EXPORT(IntsToF32);

void FindExtremes(const IntRow& row, IntExtremes* extremes) {
  HWY_DYNAMIC_DISPATCH(FindExtremes)(row, extremes);
}

void SquaredErrors(const float* x, size_t n, const IntCandidate* candidates, size_t count,
                   float* errors) {
  HWY_DYNAMIC_DISPATCH(SquaredErrors)(x, n, candidates, count, errors);
}

void EncodeInts(const IntRow& row, const IntCoding* codings, int8_t* codes, IntSums* sums) {
  HWY_DYNAMIC_DISPATCH(EncodeInts)(row, codings, codes, sums);
}

void IntsToF32(const int8_t* codes, size_t n, int zero, float scale, float* out) {
  HWY_DYNAMIC_DISPATCH(IntsToF32)(codes, n, zero, scale, out);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
