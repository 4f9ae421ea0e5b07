#include "quant/kernels/quality_sums.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/quality_sums.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kLanes = 16;
using LanesTag = hn::CappedTag<float, kLanes>;
using LanesVec = hn::Vec<LanesTag>;

constexpr size_t kQuantities = 8;

struct Lanes {
  float lane[kQuantities][kLanes];
  float largest = 0;
  size_t differing = 0;
};

template <bool kExpects>
struct QualityOp {
  LanesVec signal, noise, stored, dot, bias, expected, squares, expected_stored, largest;
  size_t differing = 0;

  HWY_INLINE QualityOp() {
    const LanesTag d;
    signal = noise = stored = dot = bias = hn::Zero(d);
    expected = squares = expected_stored = largest = hn::Zero(d);
  }
  HWY_INLINE void Add(LanesVec want, LanesVec got, LanesVec error_to_expect) {
    const LanesTag d;
    const auto error = hn::Sub(got, want);
    const auto got_squared = hn::Mul(got, got);
    signal = hn::Add(signal, hn::Mul(want, want));
    noise = hn::Add(noise, hn::Mul(error, error));
    stored = hn::Add(stored, got_squared);
    dot = hn::Add(dot, hn::Mul(want, got));
    bias = hn::Add(bias, error);
    differing += hn::CountTrue(d, hn::Ne(error, hn::Zero(d)));
    largest = hn::Max(largest, hn::Abs(error));
    if constexpr (kExpects) {
      const auto square = hn::Mul(error_to_expect, error_to_expect);
      expected = hn::Add(expected, square);
      squares = hn::Add(squares, hn::Mul(square, square));
      expected_stored = hn::Add(expected_stored, hn::Mul(square, got_squared));
    }
  }
  HWY_INLINE void Store(Lanes& out, size_t first) const {
    const LanesTag d;
    hn::StoreU(signal, d, out.lane[0] + first);
    hn::StoreU(noise, d, out.lane[1] + first);
    hn::StoreU(stored, d, out.lane[2] + first);
    hn::StoreU(dot, d, out.lane[3] + first);
    hn::StoreU(bias, d, out.lane[4] + first);
    hn::StoreU(expected, d, out.lane[5] + first);
    hn::StoreU(squares, d, out.lane[6] + first);
    hn::StoreU(expected_stored, d, out.lane[7] + first);
    out.largest = std::max(out.largest, hn::GetLane(hn::MaxOfLanes(d, largest)));
    out.differing += differing;
  }
};

// Pairs of lanes: the shape of the sum is part of the result.
HWY_INLINE double AddUp(const float* lane) {
  const hn::CappedTag<double, kLanes / 2> d;
  const hn::Rebind<float, decltype(d)> from;
  double sums[kLanes / 2];
  for (size_t j = 0; j < kLanes / 2; j += hn::Lanes(d)) {
    const auto low = hn::PromoteTo(d, hn::LoadU(from, lane + j));
    const auto high = hn::PromoteTo(d, hn::LoadU(from, lane + j + kLanes / 2));
    hn::StoreU(hn::Add(low, high), d, sums + j);
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// As many lanes at a time as the CPU has, over all of the group; zeros behind its end add nothing.
template <bool kExpects>
HWY_INLINE void SumLanes(const float* want, const float* got, const float* error, size_t n,
                         Lanes& out) {
  const LanesTag d;
  const size_t whole = n / kLanes * kLanes;
  float tail[3][kLanes] = {};
  std::memcpy(tail[0], want + whole, (n - whole) * sizeof(float));
  std::memcpy(tail[1], got + whole, (n - whole) * sizeof(float));
  if (kExpects) std::memcpy(tail[2], error + whole, (n - whole) * sizeof(float));
  for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
    QualityOp<kExpects> op;
    for (size_t i = lane; i < whole; i += kLanes) {
      const auto expected = kExpects ? hn::LoadU(d, error + i) : hn::Zero(d);
      op.Add(hn::LoadU(d, want + i), hn::LoadU(d, got + i), expected);
    }
    op.Add(hn::LoadU(d, tail[0] + lane), hn::LoadU(d, tail[1] + lane),
           hn::LoadU(d, tail[2] + lane));
    op.Store(out, lane);
  }
}

QualitySums SumQuality(const float* want, const float* got, const float* error, size_t n) {
  Lanes lanes;
  if (error != nullptr) {
    SumLanes<true>(want, got, error, n, lanes);
  } else {
    SumLanes<false>(want, got, nullptr, n, lanes);
  }
  const auto sum = [&](size_t quantity) { return AddUp(lanes.lane[quantity]); };
  return {.signal = sum(0),
          .noise = sum(1),
          .stored = sum(2),
          .dot = sum(3),
          .bias = sum(4),
          .expected = sum(5),
          .expected_squares = sum(6),
          .expected_stored = sum(7),
          .max_error = lanes.largest,
          .differing = lanes.differing};
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(SumQuality);

QualitySums SumQuality(const float* want, const float* got, const float* error, size_t n) {
  return HWY_DYNAMIC_DISPATCH(SumQuality)(want, got, error, n);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
