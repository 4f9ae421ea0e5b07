// The sums that quality is measured by, over a group of values.
#pragma once

#include <cstddef>

namespace tessera::kernels {

// Made in F32 in sixteen lanes, element i in lane i % 16 whatever the CPU, which are added up in
// F64 by pairs: the same on each.
struct QualitySums {
  double signal;  // want^2
  double noise;   // (got - want)^2
  double stored;  // got^2
  double dot;
  double bias;  // got - want
  // Without errors to expect 0.
  double expected;          // error^2
  double expected_squares;  // error^4
  double expected_stored;   // error^2 * got^2
  double max_error;         // |got - want|; of NaN: anything
  size_t differing;
};
// `error` may be nullptr.
QualitySums SumQuality(const float* want, const float* got, const float* error, size_t n);

}  // namespace tessera::kernels
