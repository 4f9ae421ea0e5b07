// The sums that quality is measured by, over a group of values.
#pragma once

#include <cstddef>

namespace tessera::kernels {

// Made in F32 in sixteen lanes, element i in lane i % 16 whatever the CPU, which are added up in
// F64 by pairs: the same on each.
struct QualitySums {
  double signal = 0;  // want^2
  double noise = 0;   // (got - want)^2
  double stored = 0;  // got^2
  double dot = 0;
  double bias = 0;  // got - want
  // Without errors to expect 0.
  double expected = 0;          // error^2
  double expected_squares = 0;  // error^4
  double expected_stored = 0;   // error^2 * got^2
  double max_error = 0;         // |got - want|; of NaN: anything
  size_t differing = 0;
};
// `error` may be nullptr.
QualitySums SumQuality(const float* want, const float* got, const float* error, size_t n);

}  // namespace tessera::kernels
