#include "quant/kernels/ggml_search.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/ggml_search.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "quant/kernels/ggml_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

// As many blocks as there are lanes, column i holding value i of each. A lane past the last block
// repeats that one.
class Columns {
 public:
  Columns(const BlockSpan& blocks, size_t first)
      : length_(blocks.length), blocks_(std::min(hn::Lanes(F32Tag()), blocks.count - first)) {
    Gather(blocks.x + first * length_, x_);
    if (blocks.weighting == ErrorWeight::kGiven) {
      Gather(blocks.weights + first * length_, w_);
    } else {
      Weigh(blocks.weighting);
    }
  }

  size_t blocks() const { return blocks_; }
  HWY_INLINE F32Vec X(size_t i) const { return At(x_, i); }
  HWY_INLINE F32Vec W(size_t i) const { return At(w_, i); }
  HWY_INLINE F32Vec Code(size_t i) const { return At(codes_, i); }
  HWY_INLINE void SetCode(size_t i, F32Vec code) {
    hn::Store(code, F32Tag(), codes_ + i * hn::Lanes(F32Tag()));
  }

  // The value of the largest magnitude, the first of those if several.
  HWY_INLINE F32Vec SignedMax() const {
    auto max = hn::Zero(F32Tag());
    for (size_t i = 0; i < length_; ++i) {
      const auto x = X(i);
      max = hn::IfThenElse(hn::Gt(hn::Abs(x), hn::Abs(max)), x, max);
    }
    return max;
  }

  HWY_INLINE void StoreLanes(F32Vec v, float* out) const {
    HWY_ALIGN float lanes[kLanes];
    hn::Store(v, F32Tag(), lanes);
    std::copy_n(lanes, blocks_, out);
  }

  // bits(i) is value i's code, in the lowest byte.
  template <class Bits>
  HWY_INLINE void StoreCodes(const Bits& bits, uint8_t* out) const {
    const size_t lanes = hn::Lanes(F32Tag());
    uint8_t columns[kMaxBlockLength * kLanes];
    for (size_t i = 0; i < length_; ++i) {
      const auto byte = hn::And(bits(i), hn::Set(I32Tag(), 0xFF));
      hn::StoreU(hn::TruncateTo(U8Tag(), hn::BitCast(U32Tag(), byte)), U8Tag(),
                 columns + i * lanes);
    }
    for (size_t lane = 0; lane < blocks_; ++lane) {
      for (size_t i = 0; i < length_; ++i) *out++ = columns[i * lanes + lane];
    }
  }

 private:
  static constexpr size_t kLanes = hn::MaxLanes(F32Tag());

  static HWY_INLINE F32Vec At(const float* columns, size_t i) {
    return hn::Load(F32Tag(), columns + i * hn::Lanes(F32Tag()));
  }

  HWY_INLINE void Gather(const float* from, float* columns) const {
    const F32Tag df;
    const I32Tag di;
    const auto last = hn::Set(di, static_cast<int32_t>(blocks_ - 1));
    const auto start =
        hn::Mul(hn::Min(hn::Iota(di, 0), last), hn::Set(di, static_cast<int32_t>(length_)));
    for (size_t i = 0; i < length_; ++i) {
      hn::Store(hn::GatherIndex(df, from + i, start), df, columns + i * hn::Lanes(df));
    }
  }

  HWY_INLINE void Weigh(ErrorWeight weighting) {
    const F32Tag df;
    const auto rms = weighting == ErrorWeight::kMagnitudeAboveRms ? Rms() : hn::Zero(df);
    for (size_t i = 0; i < length_; ++i) {
      const auto x = X(i);
      const auto w = weighting == ErrorWeight::kSquare ? hn::Mul(x, x) : hn::Add(rms, hn::Abs(x));
      hn::Store(w, df, w_ + i * hn::Lanes(df));
    }
  }

  HWY_INLINE F32Vec Rms() const {
    const F32Tag df;
    auto sum = hn::Zero(df);
    for (size_t i = 0; i < length_; ++i) sum = hn::Add(sum, hn::Mul(X(i), X(i)));
    return hn::Sqrt(hn::Div(sum, hn::Set(df, static_cast<float>(length_))));
  }

  size_t length_, blocks_;
  HWY_ALIGN float x_[kMaxBlockLength * kLanes];
  HWY_ALIGN float w_[kMaxBlockLength * kLanes];
  HWY_ALIGN float codes_[kMaxBlockLength * kLanes];
};

template <bool kAbsolute>
HWY_INLINE F32Vec ErrorOfCodes(const Columns& c, size_t n, F32Vec scale, F32Vec min) {
  auto sum = hn::Zero(F32Tag());
  for (size_t i = 0; i < n; ++i) {
    const auto diff = hn::Sub(hn::Add(hn::Mul(scale, c.Code(i)), min), c.X(i));
    const auto error = kAbsolute ? hn::Abs(diff) : hn::Mul(diff, diff);
    sum = hn::Add(sum, hn::Mul(c.W(i), error));
  }
  return sum;
}

// What FitAffine in reference_ggml.cc does.
template <size_t kLength, bool kAbsolute>
void FitAffine(Columns& c, const AffineTrials& trials, float* scales, float* mins, uint8_t* codes) {
  const F32Tag df;
  const int top = trials.top;
  const auto zero = hn::Zero(df);
  auto min = c.X(0), max = min, sum_w = c.W(0), sum_x = hn::Mul(sum_w, min);
  for (size_t i = 1; i < kLength; ++i) {
    const auto x = c.X(i), w = c.W(i);
    min = hn::IfThenElse(hn::Lt(x, min), x, min);
    max = hn::IfThenElse(hn::Gt(x, max), x, max);
    sum_w = hn::Add(sum_w, w);
    sum_x = hn::Add(sum_x, hn::Mul(w, x));
  }
  min = hn::IfThenElse(hn::Gt(min, zero), zero, min);
  const auto flat = hn::Eq(max, min);
  const auto steps = hn::Set(df, static_cast<float>(top));
  auto inverse = hn::IfThenElse(flat, zero, hn::Div(steps, hn::Sub(max, min)));
  auto subtract = min;
  auto scale = hn::IfThenElse(flat, zero, hn::Div(hn::Set(df, 1.0f), inverse));
  for (size_t i = 0; i < kLength; ++i) {
    c.SetCode(i, NearestWithin(df, hn::Mul(inverse, hn::Sub(c.X(i), min)), 0, top));
  }
  // Nothing is less than 0: blocks of one value stay as they are.
  auto best = hn::IfThenElse(flat, zero, ErrorOfCodes<kAbsolute>(c, kLength, scale, min));
  for (int trial = 0; trial < trials.trials; ++trial) {
    const float steps_tried =
        trials.first + trials.step * static_cast<float>(trial) + static_cast<float>(top);
    const auto low = min;
    const auto inverse_tried = hn::Div(hn::Set(df, steps_tried), hn::Sub(max, low));
    auto sum_l = zero, sum_ll = zero, sum_xl = zero;
    for (size_t i = 0; i < kLength; ++i) {
      const auto x = c.X(i);
      const auto code = NearestWithin(df, hn::Mul(inverse_tried, hn::Sub(x, low)), 0, top);
      c.SetCode(i, code);
      const auto wl = hn::Mul(c.W(i), code);
      sum_l = hn::Add(sum_l, wl);
      sum_ll = hn::Add(sum_ll, hn::Mul(wl, code));
      sum_xl = hn::Add(sum_xl, hn::Mul(wl, x));
    }
    const auto determinant = hn::Sub(hn::Mul(sum_w, sum_ll), hn::Mul(sum_l, sum_l));
    const auto scale_of_both =
        hn::Div(hn::Sub(hn::Mul(sum_w, sum_xl), hn::Mul(sum_x, sum_l)), determinant);
    const auto min_of_both =
        hn::Div(hn::Sub(hn::Mul(sum_ll, sum_x), hn::Mul(sum_l, sum_xl)), determinant);
    const auto above = hn::Gt(min_of_both, zero);
    const auto new_scale = hn::IfThenElse(above, hn::Div(sum_xl, sum_ll), scale_of_both);
    const auto new_min = hn::IfThenElse(above, zero, min_of_both);
    const auto error = ErrorOfCodes<kAbsolute>(c, kLength, new_scale, new_min);
    const auto better = hn::And(hn::Gt(determinant, zero), hn::Lt(error, best));
    best = hn::IfThenElse(better, error, best);
    scale = hn::IfThenElse(better, new_scale, scale);
    min = hn::IfThenElse(better, new_min, min);
    inverse = hn::IfThenElse(better, inverse_tried, inverse);
    subtract = hn::IfThenElse(better, low, subtract);
  }
  c.StoreLanes(scale, scales);
  c.StoreLanes(hn::Neg(min), mins);
  c.StoreCodes(
      [&](size_t i)
          HWY_ATTR { return NearestBits(df, hn::Mul(inverse, hn::Sub(c.X(i), subtract)), 0, top); },
      codes);
}

void SearchAffine(const BlockSpan& blocks, const AffineTrials& trials, float* scales, float* mins,
                  uint8_t* codes) {
  const auto fit = blocks.length == 16
                       ? (trials.absolute ? FitAffine<16, true> : FitAffine<16, false>)
                       : (trials.absolute ? FitAffine<32, true> : FitAffine<32, false>);
  for (size_t first = 0; first < blocks.count; first += hn::Lanes(F32Tag())) {
    Columns c(blocks, first);
    fit(c, trials, scales + first, mins + first, codes + first * blocks.length);
  }
}

// Sums of w * x * code and of w * code^2 under the codes of an inverse scale.
template <size_t kLength>
HWY_INLINE void SumCodes(const Columns& c, F32Vec inverse, int half, F32Vec& xl, F32Vec& ll) {
  const F32Tag df;
  xl = ll = hn::Zero(df);
  for (size_t i = 0; i < kLength; ++i) {
    const auto x = c.X(i), w = c.W(i);
    const auto code = NearestWithin(df, hn::Mul(inverse, x), -half, half - 1);
    xl = hn::Add(xl, hn::Mul(hn::Mul(w, x), code));
    ll = hn::Add(ll, hn::Mul(hn::Mul(w, code), code));
  }
}

// Takes another scale in those lanes where it is better.
HWY_INLINE hn::Mask<F32Tag> TakeBetter(F32Vec xl, F32Vec ll, F32Vec& scale, F32Vec& best) {
  const auto better =
      hn::And(hn::Gt(ll, hn::Zero(F32Tag())), hn::Gt(hn::Mul(xl, xl), hn::Mul(best, ll)));
  scale = hn::IfThenElse(better, hn::Div(xl, ll), scale);
  best = hn::IfThenElse(better, hn::Mul(scale, xl), best);
  return better;
}

template <size_t kLength>
void FitSymmetric(const Columns& c, int half, float* scales, uint8_t* codes) {
  const F32Tag df;
  const auto zero = hn::Zero(df);
  const auto max = c.SignedMax();
  const auto none = hn::Lt(hn::Abs(max), hn::Set(df, kNoMagnitude));
  const auto top = static_cast<float>(half);
  auto inverse = hn::Div(hn::Set(df, -top), max);
  auto xl = zero, ll = zero;
  SumCodes<kLength>(c, inverse, half, xl, ll);
  auto scale = hn::IfThenElse(hn::Eq(ll, zero), zero, hn::Div(xl, ll));
  auto best = hn::Mul(scale, xl);
  for (int i = -9; i <= 9; ++i) {
    if (i == 0) continue;
    const auto tried = hn::Div(hn::Set(df, -(top + 0.1f * static_cast<float>(i))), max);
    SumCodes<kLength>(c, tried, half, xl, ll);
    inverse = hn::IfThenElse(TakeBetter(xl, ll, scale, best), tried, inverse);
  }
  c.StoreLanes(hn::IfThenElse(none, zero, scale), scales);
  const auto some = hn::VecFromMask(I32Tag(), hn::RebindMask(I32Tag(), hn::Not(none)));
  c.StoreCodes(
      [&](size_t i) HWY_ATTR {
        const auto bits = NearestBits(df, hn::Mul(inverse, c.X(i)), -half, half - 1);
        return hn::And(hn::Add(bits, hn::Set(I32Tag(), half)), some);
      },
      codes);
}

void SearchSymmetric(const BlockSpan& blocks, int half, float* scales, uint8_t* codes) {
  const auto fit = blocks.length == 16 ? FitSymmetric<16> : FitSymmetric<32>;
  for (size_t first = 0; first < blocks.count; first += hn::Lanes(F32Tag())) {
    const Columns c(blocks, first);
    fit(c, half, scales + first, codes + first * blocks.length);
  }
}

// What MoveCode in reference_ggml.cc does; returns where a code moved.
HWY_INLINE hn::Mask<F32Tag> MoveCode(Columns& c, size_t i, F32Vec& xl, F32Vec& ll) {
  const F32Tag df;
  const auto zero = hn::Zero(df);
  const auto x = c.X(i), w = c.W(i), code = c.Code(i);
  const auto wx = hn::Mul(w, x);
  auto new_xl = hn::Sub(xl, hn::Mul(wx, code));
  auto new_ll = hn::Sub(ll, hn::Mul(hn::Mul(w, code), code));
  const auto movable = hn::Gt(new_xl, zero);
  const auto moved = NearestWithin(df, hn::Div(hn::Mul(x, new_ll), new_xl), -4, 3);
  new_xl = hn::Add(new_xl, hn::Mul(wx, moved));
  new_ll = hn::Add(new_ll, hn::Mul(hn::Mul(w, moved), moved));
  const auto better =
      hn::Gt(hn::Mul(hn::Mul(new_xl, new_xl), ll), hn::Mul(hn::Mul(xl, xl), new_ll));
  const auto accepted =
      hn::And(hn::And(movable, hn::Ne(moved, code)), hn::And(hn::Gt(new_ll, zero), better));
  c.SetCode(i, hn::IfThenElse(accepted, moved, code));
  xl = hn::IfThenElse(accepted, new_xl, xl);
  ll = hn::IfThenElse(accepted, new_ll, ll);
  return accepted;
}

HWY_INLINE void StartDescent(Columns& c, F32Vec& xl, F32Vec& ll) {
  const F32Tag df;
  const auto inverse = hn::Div(hn::Set(df, -4.0f), c.SignedMax());
  SumCodes<16>(c, inverse, 4, xl, ll);
  for (size_t i = 0; i < 16; ++i) {
    c.SetCode(i, NearestWithin(df, hn::Mul(inverse, c.X(i)), -4, 3));
  }
}

HWY_INLINE void EndDescent(const Columns& c, F32Vec xl, F32Vec ll, float* scales, uint8_t* codes) {
  const F32Tag df;
  const auto zero = hn::Zero(df);
  const auto some = hn::Not(hn::Lt(hn::Abs(c.SignedMax()), hn::Set(df, kNoMagnitude)));
  const auto scale = hn::IfThenElseZero(hn::Gt(ll, zero), hn::Div(xl, ll));
  c.StoreLanes(hn::IfThenElseZero(some, scale), scales);
  c.StoreCodes(
      [&](size_t i) HWY_ATTR {
        const auto code = hn::Add(c.Code(i), hn::Set(df, 4.0f));
        return hn::ConvertTo(I32Tag(), hn::IfThenElseZero(some, code));
      },
      codes);
}

// Two vectors of blocks take turns: each code waits for the one before it.
void DescendSymmetric(const float* x, size_t count, float* scales, uint8_t* codes) {
  const F32Tag df;
  const BlockSpan blocks{x, 16, count, ErrorWeight::kSquare};
  const size_t lanes = hn::Lanes(df);
  for (size_t first = 0; first < count; first += 2 * lanes) {
    const size_t second = first + lanes < count ? first + lanes : first;
    Columns a(blocks, first), b(blocks, second);
    auto xl_a = hn::Zero(df), ll_a = xl_a, xl_b = xl_a, ll_b = xl_a;
    StartDescent(a, xl_a, ll_a);
    StartDescent(b, xl_b, ll_b);
    for (int round = 0; round < 5; ++round) {
      auto moved = hn::FirstN(df, 0);
      for (size_t i = 0; i < 16; ++i) {
        moved = hn::Or(moved, MoveCode(a, i, xl_a, ll_a));
        moved = hn::Or(moved, MoveCode(b, i, xl_b, ll_b));
      }
      if (hn::AllFalse(df, moved)) break;  // a round that moves nothing would repeat itself
    }
    EndDescent(a, xl_a, ll_a, scales + first, codes + first * 16);
    EndDescent(b, xl_b, ll_b, scales + second, codes + second * 16);
  }
}

// The level itself. NaN belongs to the highest, as in ggml.
HWY_INLINE F32Vec NearestLevel(F32Vec x) {
  const F32Tag df;
  auto level = hn::Set(df, kIq4Levels[15]);
  for (size_t k = 15; k-- > 0;) {
    level =
        hn::IfThenElse(hn::Lt(x, hn::Set(df, IqMidpoint(k))), hn::Set(df, kIq4Levels[k]), level);
  }
  return level;
}

template <size_t kLength>
HWY_INLINE void SumLevels(const Columns& c, F32Vec inverse, F32Vec& xl, F32Vec& ll) {
  xl = ll = hn::Zero(F32Tag());
  for (size_t i = 0; i < kLength; ++i) {
    const auto level = NearestLevel(hn::Mul(inverse, c.X(i)));
    const auto wl = hn::Mul(c.W(i), level);
    xl = hn::Add(xl, hn::Mul(wl, c.X(i)));
    ll = hn::Add(ll, hn::Mul(wl, level));
  }
}

HWY_INLINE F32Vec FitIq4(const Columns& c) {
  const F32Tag df;
  const auto zero = hn::Zero(df);
  const auto max = c.SignedMax();
  const auto none = hn::Lt(hn::Abs(max), hn::Set(df, kNoMagnitude));
  const float lowest = kIq4Levels[0];
  auto xl = zero, ll = zero;
  const auto start = hn::Div(hn::Neg(max), hn::Set(df, lowest));
  SumLevels<32>(c, hn::Div(hn::Set(df, 1.0f), start), xl, ll);
  auto scale = hn::IfThenElse(hn::Gt(ll, zero), hn::Div(xl, ll), zero);
  auto best = hn::Mul(scale, xl);
  for (int i = -7; i <= 7; ++i) {
    SumLevels<32>(c, hn::Div(hn::Set(df, static_cast<float>(i) + lowest), max), xl, ll);
    TakeBetter(xl, ll, scale, best);
  }
  return hn::IfThenElse(none, zero, scale);
}

void SearchIq4(const BlockSpan& blocks, float* scales) {
  for (size_t first = 0; first < blocks.count; first += hn::Lanes(F32Tag())) {
    const Columns c(blocks, first);
    c.StoreLanes(FitIq4(c), scales + first);
  }
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(SearchAffine);
HWY_EXPORT(SearchSymmetric);
HWY_EXPORT(DescendSymmetric);
HWY_EXPORT(SearchIq4);

void SearchAffine(const BlockSpan& blocks, const AffineTrials& trials, float* scales, float* mins,
                  uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(SearchAffine)(blocks, trials, scales, mins, codes);
}

void SearchSymmetric(const BlockSpan& blocks, int half, float* scales, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(SearchSymmetric)(blocks, half, scales, codes);
}

void DescendSymmetric(const float* x, size_t count, float* scales, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(DescendSymmetric)(x, count, scales, codes);
}

void SearchIq4(const BlockSpan& blocks, float* scales) {
  HWY_DYNAMIC_DISPATCH(SearchIq4)(blocks, scales);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
