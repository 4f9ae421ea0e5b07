// GPTQ's layout: transposed, words of several columns, zero points of which one may be subtracted.
#pragma once

#include "quant/int_scheme.h"

namespace tessera {

enum class GptqZeros : uint8_t {
  kMinusOne,  // checkpoint_format "gptq", what a config without that field means
  kPlain,     // "gptq_v2"
};

struct GptqArgs {
  int bits = 4;  // 4 or 8
  uint64_t group = 128;
  Search search = Search::kMse;
  // Only symmetric ones with kMinusOne can be encoded, as engines load no others.
  bool symmetric = true;
  GptqZeros zeros = GptqZeros::kMinusOne;
};

// ".qweight" I32 [cols * bits / 32, rows], ".qzeros" I32 [cols / group, rows * bits / 32],
// ".scales" F16 [cols / group, rows], ".g_idx" I32 [cols], column k being in group k / group
// ("desc_act": false). Searched scales are numbers of BF16 too, as for AWQ. Symmetric zero points
// and a g_idx that say something else are counted as wrong constants.
std::unique_ptr<IntScheme> MakeGptqScheme(const GptqArgs& args);

}  // namespace tessera
