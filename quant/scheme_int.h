// Integer weights as compressed-tensors and SGLang store them.
#pragma once

#include <memory>

#include "quant/int_scheme.h"

namespace tessera {

// compressed-tensors pack-quantized: ".weight_packed" I32, ".weight_scale", ".weight_zero_point"
// I32 where asymmetric, packed along rows, ".weight_shape".
struct CtPackedArgs {
  int bits = 4;          // 4 or 8
  uint64_t group = 128;  // columns; 0: one scale a row
  bool symmetric = true;
  Search search = Search::kMse;
  Dtype scale = Dtype::kBF16;  // F16 and F32 as well
  Dtype shape = Dtype::kI64;   // kI32 in some checkpoints
};
std::unique_ptr<IntScheme> MakeCtPackedScheme(const CtPackedArgs& args);

// ".weight" I8, one per code, and its scales.
// compressed-tensors int-quantized: ".weight_scale" [rows, 1], F32 or BF16.
std::unique_ptr<IntScheme> MakeCtInt8Scheme(Search search, Dtype scale = Dtype::kF32);
// SGLang w8a8_int8: ".weight_scale" F32 [rows, 1].
std::unique_ptr<IntScheme> MakeInt8ChannelScheme(Search search);
// SGLang blockwise_int8: ".weight_scale_inv" F32, one a block.
std::unique_ptr<IntScheme> MakeInt8BlockScheme(Search search, uint32_t block_rows = 128,
                                               uint32_t block_cols = 128);

}  // namespace tessera
