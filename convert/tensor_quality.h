// What the manifest says of a weight quantized to integers, and whether it is good enough.
#pragma once

#include "formats/manifest.h"
#include "quant/int_quality.h"

namespace tessera {

// `allowance`: how many dB the measured ratio may lie below the predicted one.
TensorQuality Judge(const IntQuality& sums, double allowance);

}  // namespace tessera
