#include "quant/kernels/ggml_search.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/ggml_search.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <numeric>

#include "quant/kernels/ggml_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

// As many blocks as there are lanes, column i holding value i of each.
class Columns {
 public:
  Columns(const BlockSpan& blocks, const LaneStarts& starts) : length_(blocks.length) {
    Load(blocks.x, starts, x_);
    if (blocks.weighting == ErrorWeight::kGiven) {
      Load(blocks.weights, starts, w_);
    } else {
      Weigh(blocks.weighting);
    }
  }

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

 private:
  static constexpr size_t kLanes = hn::MaxLanes(F32Tag());

  static HWY_INLINE F32Vec At(const float* columns, size_t i) {
    return hn::Load(F32Tag(), columns + i * hn::Lanes(F32Tag()));
  }

  HWY_INLINE void Load(const float* from, const LaneStarts& starts, float* columns) const {
    const F32Tag df;
    auto a = hn::Zero(df), b = a, c = a, d = a;
    for (size_t i = 0; i < length_; i += 4) {
      LoadFourColumns(from + i, starts.data(), a, b, c, d);
      float* to = columns + i * hn::Lanes(df);
      hn::Store(a, df, to);
      hn::Store(b, df, to + hn::Lanes(df));
      hn::Store(c, df, to + 2 * hn::Lanes(df));
      hn::Store(d, df, to + 3 * hn::Lanes(df));
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

  size_t length_;
  HWY_ALIGN float x_[kMaxBlockLength * kLanes];
  HWY_ALIGN float w_[kMaxBlockLength * kLanes];
  HWY_ALIGN float codes_[kMaxBlockLength * kLanes];
};

// What a search finds, a lane a block.
struct Fits {
  HWY_ALIGN float scales[hn::MaxLanes(F32Tag())];
  HWY_ALIGN float mins[hn::MaxLanes(F32Tag())];
  // Codes are (x - subtract) * inverse, to the nearest integer.
  HWY_ALIGN float subtract[hn::MaxLanes(F32Tag())];
  HWY_ALIGN float inverses[hn::MaxLanes(F32Tag())];
  HWY_ALIGN float magnitudes[hn::MaxLanes(F32Tag())];  // the largest |x|; SearchSymmetric only
};

// op(columns, first block, blocks)
template <class Op>
HWY_INLINE void ForEachVector(const BlockSpan& blocks, const Op& op) {
  const size_t lanes = hn::Lanes(F32Tag());
  for (size_t first = 0; first < blocks.count; first += lanes) {
    const size_t n = std::min(lanes, blocks.count - first);
    BlockSpan rest = blocks;
    rest.x += first * blocks.length;
    if (rest.weighting == ErrorWeight::kGiven) rest.weights += first * blocks.length;
    Columns c(rest, LaneStarts(blocks.length, n));
    op(c, first, n);
  }
}

HWY_INLINE void EncodeRow(const float* x, size_t length, float subtract, float inverse, int lowest,
                          int highest, uint8_t* codes) {
  const StripTag d;
  const auto base = hn::Set(StripI32(), kNearestBits + lowest);
  for (size_t i = 0; i < length; i += hn::Lanes(d)) {
    const auto shifted = hn::Sub(hn::LoadU(d, x + i), hn::Set(d, subtract));
    const auto bits = NearestBits(d, hn::Mul(hn::Set(d, inverse), shifted), lowest, highest);
    StoreBytes(hn::Sub(bits, base), codes + i);
  }
}

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

// The range down to 0 at least, and sums of w and w * x.
HWY_INLINE void Survey(const Columns& c, size_t n, F32Vec& min, F32Vec& max, F32Vec& sum_w,
                       F32Vec& sum_x) {
  min = max = c.X(0);
  sum_w = c.W(0);
  sum_x = hn::Mul(sum_w, min);
  for (size_t i = 1; i < n; ++i) {
    const auto x = c.X(i), w = c.W(i);
    min = hn::IfThenElse(hn::Lt(x, min), x, min);
    max = hn::IfThenElse(hn::Gt(x, max), x, max);
    sum_w = hn::Add(sum_w, w);
    sum_x = hn::Add(sum_x, hn::Mul(w, x));
  }
  const auto zero = hn::Zero(F32Tag());
  min = hn::IfThenElse(hn::Gt(min, zero), zero, min);
}

// The scale and minimum of least squared error under some codes; where there is none, garbage.
HWY_INLINE hn::Mask<F32Tag> Solve(F32Vec w, F32Vec x, F32Vec l, F32Vec ll, F32Vec xl, F32Vec& scale,
                                  F32Vec& min) {
  const auto zero = hn::Zero(F32Tag());
  const auto determinant = hn::Sub(hn::Mul(w, ll), hn::Mul(l, l));
  const auto both_scale = hn::Div(hn::Sub(hn::Mul(w, xl), hn::Mul(x, l)), determinant);
  const auto both_min = hn::Div(hn::Sub(hn::Mul(ll, x), hn::Mul(l, xl)), determinant);
  const auto above = hn::Gt(both_min, zero);
  scale = hn::IfThenElse(above, hn::Div(xl, ll), both_scale);
  min = hn::IfThenElse(above, zero, both_min);
  return hn::Gt(determinant, zero);
}

// What FitAffine in reference_ggml.cc does.
template <size_t kLength, bool kAbsolute>
void FitAffine(Columns& c, const AffineTrials& trials, Fits& fits) {
  const F32Tag df;
  const int top = trials.top;
  const auto zero = hn::Zero(df);
  auto min = zero, max = zero, sum_w = zero, sum_x = zero;
  Survey(c, kLength, min, max, sum_w, sum_x);
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
    auto new_scale = zero, new_min = zero;
    const auto solved = Solve(sum_w, sum_x, sum_l, sum_ll, sum_xl, new_scale, new_min);
    const auto error = ErrorOfCodes<kAbsolute>(c, kLength, new_scale, new_min);
    const auto better = hn::And(solved, hn::Lt(error, best));
    best = hn::IfThenElse(better, error, best);
    scale = hn::IfThenElse(better, new_scale, scale);
    min = hn::IfThenElse(better, new_min, min);
    inverse = hn::IfThenElse(better, inverse_tried, inverse);
    subtract = hn::IfThenElse(better, low, subtract);
  }
  hn::Store(scale, df, fits.scales);
  hn::Store(hn::Neg(min), df, fits.mins);
  hn::Store(subtract, df, fits.subtract);
  hn::Store(inverse, df, fits.inverses);
}

void SearchAffine(const BlockSpan& blocks, const AffineTrials& trials, float* scales, float* mins,
                  uint8_t* codes) {
  const auto fit = blocks.length == 16
                       ? (trials.absolute ? FitAffine<16, true> : FitAffine<16, false>)
                       : (trials.absolute ? FitAffine<32, true> : FitAffine<32, false>);
  ForEachVector(blocks, [&](Columns& c, size_t first, size_t n) HWY_ATTR {
    Fits fits;
    fit(c, trials, fits);
    std::copy_n(fits.scales, n, scales + first);
    std::copy_n(fits.mins, n, mins + first);
    for (size_t i = 0; i < n; ++i) {
      const size_t at = (first + i) * blocks.length;
      EncodeRow(blocks.x + at, blocks.length, fits.subtract[i], fits.inverses[i], 0, trials.top,
                codes + at);
    }
  });
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
void FitSymmetric(const Columns& c, int half, Fits& fits) {
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
  hn::Store(hn::IfThenElse(none, zero, scale), df, fits.scales);
  hn::Store(inverse, df, fits.inverses);
  hn::Store(hn::Abs(max), df, fits.magnitudes);
}

void SearchSymmetric(const BlockSpan& blocks, int half, float* scales, uint8_t* codes) {
  const auto fit = blocks.length == 16 ? FitSymmetric<16> : FitSymmetric<32>;
  ForEachVector(blocks, [&](const Columns& c, size_t first, size_t n) HWY_ATTR {
    Fits fits;
    fit(c, half, fits);
    std::copy_n(fits.scales, n, scales + first);
    for (size_t i = 0; i < n; ++i) {
      const size_t at = (first + i) * blocks.length;
      if (fits.magnitudes[i] < kNoMagnitude) {
        std::fill_n(codes + at, blocks.length, 0);
      } else {
        EncodeRow(blocks.x + at, blocks.length, 0, fits.inverses[i], -half, half - 1, codes + at);
      }
    }
  });
}

// A vector of blocks in descent; the sums are over the codes as they are.
class Descent {
 public:
  Descent(const BlockSpan& blocks, const uint32_t* numbers)
      : c_(blocks, LaneStarts(blocks.length, numbers)) {
    const F32Tag df;
    const auto inverse = hn::Div(hn::Set(df, -4.0f), c_.SignedMax());
    auto xl = hn::Zero(df), ll = xl;
    for (size_t i = 0; i < 16; ++i) {
      const auto x = c_.X(i), w = c_.W(i);
      const auto code = NearestWithin(df, hn::Mul(inverse, x), -4, 3);
      c_.SetCode(i, code);
      xl = hn::Add(xl, hn::Mul(hn::Mul(w, x), code));
      ll = hn::Add(ll, hn::Mul(hn::Mul(w, code), code));
    }
    hn::Store(xl, df, xl_);
    hn::Store(ll, df, ll_);
  }

  HWY_INLINE void StartRound() {
    const F32Tag df;
    hn::Store(hn::Load(df, xl_), df, xl_before_);
    hn::Store(hn::Load(df, ll_), df, ll_before_);
  }

  // What MoveCode in reference_ggml.cc does.
  HWY_INLINE void Move(size_t i) {
    const F32Tag df;
    const auto zero = hn::Zero(df), xl = hn::Load(df, xl_), ll = hn::Load(df, ll_);
    const auto x = c_.X(i), w = c_.W(i), code = c_.Code(i);
    const auto wx = hn::Mul(w, x);
    auto new_xl = hn::Sub(xl, hn::Mul(wx, code));
    auto new_ll = hn::Sub(ll, hn::Mul(hn::Mul(w, code), code));
    const auto movable = hn::Gt(new_xl, zero);
    const auto moved = NearestWithin(df, hn::Div(hn::Mul(x, new_ll), new_xl), -4, 3);
    const auto wanted = hn::And(movable, hn::Ne(moved, code));
    // So it is nearly always. Then the next code need not wait for this one's division.
    if (hn::AllFalse(df, wanted)) return;
    new_xl = hn::Add(new_xl, hn::Mul(wx, moved));
    new_ll = hn::Add(new_ll, hn::Mul(hn::Mul(w, moved), moved));
    const auto better =
        hn::Gt(hn::Mul(hn::Mul(new_xl, new_xl), ll), hn::Mul(hn::Mul(xl, xl), new_ll));
    const auto accepted = hn::And(wanted, hn::And(hn::Gt(new_ll, zero), better));
    c_.SetCode(i, hn::IfThenElse(accepted, moved, code));
    hn::Store(hn::IfThenElse(accepted, new_xl, xl), df, xl_);
    hn::Store(hn::IfThenElse(accepted, new_ll, ll), df, ll_);
  }

  // A move is only made where it changes the sums.
  HWY_INLINE hn::Mask<F32Tag> MovedInRound() const {
    const F32Tag df;
    return hn::Or(hn::Ne(hn::Load(df, xl_), hn::Load(df, xl_before_)),
                  hn::Ne(hn::Load(df, ll_), hn::Load(df, ll_before_)));
  }

  HWY_INLINE void StoreResult(const uint32_t* numbers, size_t n, float* scales,
                              uint8_t* codes) const {
    const F32Tag df;
    const auto some = hn::Not(hn::Lt(hn::Abs(c_.SignedMax()), hn::Set(df, kNoMagnitude)));
    const auto xl = hn::Load(df, xl_), ll = hn::Load(df, ll_);
    const auto scale = hn::IfThenElseZero(hn::Gt(ll, hn::Zero(df)), hn::Div(xl, ll));
    HWY_ALIGN float found[hn::MaxLanes(df)];
    HWY_ALIGN uint32_t first[hn::MaxLanes(df)];
    HWY_ALIGN uint32_t second[hn::MaxLanes(df)];
    hn::Store(hn::IfThenElseZero(some, scale), df, found);
    const auto mask = hn::RebindMask(U32Tag(), some);
    hn::Store(hn::IfThenElseZero(mask, EightCodes(0)), U32Tag(), first);
    hn::Store(hn::IfThenElseZero(mask, EightCodes(8)), U32Tag(), second);
    for (size_t lane = 0; lane < n; ++lane) {
      scales[numbers[lane]] = found[lane];
      SpreadNibbles(first[lane], codes + numbers[lane] * 16);
      SpreadNibbles(second[lane], codes + numbers[lane] * 16 + 8);
    }
  }

 private:
  // Codes from `begin` on, four bits each.
  HWY_INLINE U32Vec EightCodes(size_t begin) const {
    const F32Tag df;
    auto packed = hn::Zero(U32Tag());
    for (size_t i = 8; i-- > 0;) {
      const auto code = hn::ConvertTo(I32Tag(), hn::Add(c_.Code(begin + i), hn::Set(df, 4.0f)));
      packed = hn::Or(hn::ShiftLeft<4>(packed), hn::BitCast(U32Tag(), code));
    }
    return packed;
  }

  static HWY_INLINE void SpreadNibbles(uint64_t packed, uint8_t* bytes) {
    packed = (packed | packed << 16) & 0x0000FFFF0000FFFFu;
    packed = (packed | packed << 8) & 0x00FF00FF00FF00FFu;
    packed = (packed | packed << 4) & 0x0F0F0F0F0F0F0F0Fu;
    std::memcpy(bytes, &packed, sizeof(packed));
  }

  Columns c_;
  HWY_ALIGN float xl_[hn::MaxLanes(F32Tag())];
  HWY_ALIGN float ll_[hn::MaxLanes(F32Tag())];
  HWY_ALIGN float xl_before_[hn::MaxLanes(F32Tag())];
  HWY_ALIGN float ll_before_[hn::MaxLanes(F32Tag())];
};

// Vectors of blocks take turns: each code waits for the one before it, most of all for its
// division.
constexpr size_t kTurns = 4;
constexpr size_t kDescentBlocks = 256;

// The blocks that are listed, for so many rounds. Returns how many moved a code in their last one,
// and begins the list with those. There is room for kTurns vectors of numbers past the end.
size_t DescendListed(const BlockSpan& blocks, uint32_t* numbers, size_t n, int rounds,
                     float* scales, uint8_t* codes) {
  const F32Tag df;
  const size_t lanes = hn::Lanes(df);
  if (n > 0) std::fill_n(numbers + n, kTurns * lanes, numbers[n - 1]);
  size_t unfinished = 0;
  for (size_t first = 0; first < n; first += kTurns * lanes) {
    const uint32_t* at = numbers + first;
    Descent turns[kTurns] = {
        {blocks, at}, {blocks, at + lanes}, {blocks, at + 2 * lanes}, {blocks, at + 3 * lanes}};
    auto moved = hn::FirstN(df, lanes);
    for (int round = 0; round < rounds && !hn::AllFalse(df, moved); ++round) {
      for (Descent& turn : turns) turn.StartRound();
      for (size_t i = 0; i < 16; ++i) {
        for (Descent& turn : turns) turn.Move(i);
      }
      moved = hn::FirstN(df, 0);
      for (const Descent& turn : turns) moved = hn::Or(moved, turn.MovedInRound());
    }
    for (size_t turn = 0; turn < kTurns && first + turn * lanes < n; ++turn) {
      const size_t used = std::min(lanes, n - first - turn * lanes);
      const uint32_t* listed = at + turn * lanes;
      turns[turn].StoreResult(listed, used, scales, codes);
      const auto mask = turns[turn].MovedInRound();
      const auto flags = hn::VecFromMask(I32Tag(), hn::RebindMask(I32Tag(), mask));
      HWY_ALIGN int32_t moves[hn::MaxLanes(df)];
      hn::Store(flags, I32Tag(), moves);
      for (size_t lane = 0; lane < used; ++lane) {
        if (moves[lane] != 0) numbers[unfinished++] = listed[lane];
      }
    }
  }
  return unfinished;
}

// A round that moves nothing would repeat itself, and most blocks are done after their first: the
// others start again, among themselves.
void DescendSymmetric(const float* x, size_t count, float* scales, uint8_t* codes) {
  uint32_t numbers[kDescentBlocks + kTurns * hn::MaxLanes(F32Tag())];
  for (size_t first = 0; first < count; first += kDescentBlocks) {
    const BlockSpan blocks{x + first * 16, 16, std::min(kDescentBlocks, count - first),
                           ErrorWeight::kSquare};
    std::iota(numbers, numbers + blocks.count, 0);
    const size_t unfinished =
        DescendListed(blocks, numbers, blocks.count, 1, scales + first, codes + first * 16);
    DescendListed(blocks, numbers, unfinished, 5, scales + first, codes + first * 16);
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
  const F32Tag df;
  ForEachVector(blocks, [&](const Columns& c, size_t first, size_t n) HWY_ATTR {
    HWY_ALIGN float lanes[hn::MaxLanes(df)];
    hn::Store(FitIq4(c), df, lanes);
    std::copy_n(lanes, n, scales + first);
  });
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
