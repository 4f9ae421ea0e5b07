// INT4 experts beside FP8, with activations in FP8: SGLang's W4AFP8, TensorRT-LLM's mixed
// precision.
#pragma once

#include <optional>

#include "quant/int_scheme.h"

namespace tessera {

struct Int4Fp8Args {
  Search search = Search::kMse;
  // The activations' scale, finite and positive; rounded to BF16, as SGLang compares it with its
  // own BF16 copy. Without one there is no such part: for reading.
  std::optional<float> input_scale;
};

// ".weight" I8 [rows, cols / 2], two's complement, low nibble first; ".weight_scale_inv" F32 [rows,
// cols / 128], of which searched ones are BF16's, as the engines round them to that;
// ".input_scale" F32 [1].
std::unique_ptr<IntScheme> MakeInt4Fp8Scheme(const Int4Fp8Args& args);

}  // namespace tessera
