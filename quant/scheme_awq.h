// AutoAWQ's "gemm" version: four bits under zero points, transposed, rows of a word interleaved.
#pragma once

#include "quant/int_scheme.h"

namespace tessera {

struct AwqArgs {
  uint64_t group = 128;
  Search search = Search::kMse;
};

// ".qweight" I32 [cols, rows / 8], ".qzeros" I32 [cols / group, rows / 8], ".scales" F16 [cols /
// group, rows]. A searched scale is a number of both F16 and BF16, so that an engine that computes
// in BF16 multiplies by the scale that the codes were chosen for.
std::unique_ptr<IntScheme> MakeAwqScheme(const AwqArgs& args);

}  // namespace tessera
