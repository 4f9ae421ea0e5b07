// msModelSlim's W8A8_DYNAMIC: INT8 under a scale a row, activations quantized a token at run time.
#pragma once

#include "quant/int_scheme.h"

namespace tessera {

// ".weight" I8 [rows, cols], ".weight_scale" F32 [rows, 1], ".weight_offset" F32 [rows, 1] of
// zeros, which loaders insist on. Offsets that are not zero are counted as wrong constants.
std::unique_ptr<IntScheme> MakeAscendInt8Scheme(Search search);

}  // namespace tessera
