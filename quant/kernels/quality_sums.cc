#include "quant/kernels/quality_sums.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/kernels/quality_sums.cc"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using LanesTag = hn::CappedTag<float, kQualityLanes>;
using LanesVec = hn::Vec<LanesTag>;

struct QualityOp {
  LanesVec signal, noise, stored, dot, bias, largest, differing;

  HWY_INLINE QualityOp() {
    const LanesTag d;
    signal = noise = stored = dot = bias = largest = differing = hn::Zero(d);
  }
  HWY_INLINE void Add(LanesVec want, LanesVec got) {
    const LanesTag d;
    const auto error = hn::Sub(got, want);
    signal = hn::Add(signal, hn::Mul(want, want));
    noise = hn::Add(noise, hn::Mul(error, error));
    stored = hn::Add(stored, hn::Mul(got, got));
    dot = hn::Add(dot, hn::Mul(want, got));
    bias = hn::Add(bias, error);
    largest = hn::Max(largest, hn::Abs(error));
    differing =
        hn::Add(differing, hn::IfThenElseZero(hn::Ne(error, hn::Zero(d)), hn::Set(d, 1.0f)));
  }
  HWY_INLINE void Store(QualityLanes& out, size_t lane) const {
    const LanesTag d;
    hn::StoreU(signal, d, out.signal + lane);
    hn::StoreU(noise, d, out.noise + lane);
    hn::StoreU(stored, d, out.stored + lane);
    hn::StoreU(dot, d, out.dot + lane);
    hn::StoreU(bias, d, out.bias + lane);
    hn::StoreU(largest, d, out.largest + lane);
    hn::StoreU(differing, d, out.differing + lane);
  }
};

struct ExpectedOp {
  LanesVec sum, squares, stored;

  HWY_INLINE ExpectedOp() {
    const LanesTag d;
    sum = squares = stored = hn::Zero(d);
  }
  HWY_INLINE void Add(LanesVec error, LanesVec got) {
    const auto square = hn::Mul(error, error);
    sum = hn::Add(sum, square);
    squares = hn::Add(squares, hn::Mul(square, square));
    stored = hn::Add(stored, hn::Mul(square, hn::Mul(got, got)));
  }
  HWY_INLINE void Store(ExpectedLanes& out, size_t lane) const {
    const LanesTag d;
    hn::StoreU(sum, d, out.sum + lane);
    hn::StoreU(squares, d, out.squares + lane);
    hn::StoreU(stored, d, out.stored + lane);
  }
};

// As many lanes at a time as the CPU has, over all of the group; zeros behind its end add nothing.
template <class Op, class Lanes>
HWY_INLINE void SumLanes(const float* x, const float* y, size_t n, Lanes& out) {
  const LanesTag d;
  const size_t whole = n / kQualityLanes * kQualityLanes;
  float tail_x[kQualityLanes] = {}, tail_y[kQualityLanes] = {};
  std::memcpy(tail_x, x + whole, (n - whole) * sizeof(float));
  std::memcpy(tail_y, y + whole, (n - whole) * sizeof(float));
  for (size_t lane = 0; lane < kQualityLanes; lane += hn::Lanes(d)) {
    Op op;
    for (size_t i = lane; i < whole; i += kQualityLanes) {
      op.Add(hn::LoadU(d, x + i), hn::LoadU(d, y + i));
    }
    op.Add(hn::LoadU(d, tail_x + lane), hn::LoadU(d, tail_y + lane));
    op.Store(out, lane);
  }
}

void SumQuality(const float* want, const float* got, size_t n, QualityLanes& out) {
  SumLanes<QualityOp>(want, got, n, out);
}

void SumExpected(const float* error, const float* got, size_t n, ExpectedLanes& out) {
  SumLanes<ExpectedOp>(error, got, n, out);
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(SumQuality);
HWY_EXPORT(SumExpected);

void SumQuality(const float* want, const float* got, size_t n, QualityLanes& out) {
  HWY_DYNAMIC_DISPATCH(SumQuality)(want, got, n, out);
}

void SumExpected(const float* error, const float* got, size_t n, ExpectedLanes& out) {
  HWY_DYNAMIC_DISPATCH(SumExpected)(error, got, n, out);
}

}  // namespace tessera::kernels
#endif  // HWY_ONCE
