// The sums that quality is measured by, over a group of values, in F32.
#pragma once

#include <cstddef>

namespace tessera::kernels {

// Element i goes to lane i % kQualityLanes whatever the CPU, so that sums are the same on each.
inline constexpr size_t kQualityLanes = 16;

struct QualityLanes {
  float signal[kQualityLanes];  // want^2
  float noise[kQualityLanes];   // (got - want)^2
  float stored[kQualityLanes];  // got^2
  float dot[kQualityLanes];
  float bias[kQualityLanes];     // got - want
  float largest[kQualityLanes];  // |got - want|; of NaN: anything
  float differing[kQualityLanes];
};
void SumQuality(const float* want, const float* got, size_t n, QualityLanes& out);

struct ExpectedLanes {
  float sum[kQualityLanes];      // error^2
  float squares[kQualityLanes];  // error^4
  float stored[kQualityLanes];   // error^2 * got^2
};
void SumExpected(const float* error, const float* got, size_t n, ExpectedLanes& out);

}  // namespace tessera::kernels
