// What the manifest says of a weight quantized to integers, and whether it is good enough.
#pragma once

#include "formats/manifest.h"
#include "quant/int_quality.h"
#include "quant/registry.h"

namespace tessera {

// A weight is as good as its scales promise while its noise, and that of its worst row and group,
// is at most so many dB above what they predict, and its least-squares gain at most so far off what
// rounding explains.
struct QualityLimits {
  double weight = 0, place = 0;
  double gain = 0;
};
QualityLimits LimitsOf(const SchemeRow& scheme, Search search);

TensorQuality Judge(const IntQuality& sums, const QualityLimits& limits);

}  // namespace tessera
