// What integers under scales are: how many bits, which weights share a scale, and how it is chosen.
#pragma once

#include <cstdint>

#include "formats/dtype.h"

namespace tessera {

// kAbsMax: the codes of the format's upstream quantizer, exactly. kMse: the scale of least squared
// error among several and a least-squares refit. kMseSigned: negative scales are tried too.
enum class Search : uint8_t { kAbsMax, kMse, kMseSigned };

// Whose arithmetic kAbsMax reproduces: type, rounding, groups of zeros (docs/numerics.md).
enum class AbsMaxRule : uint8_t {
  kCompressedTensors,  // BF16
  kAutoAwq,            // F16
  kGptq,               // F32
  kInt8Row,            // SGLang w8a8_int8, Ascend W8A8_DYNAMIC
  kInt8Block,          // SGLang blockwise_int8: truncates
  kInt4Fp8,            // SGLang W4AFP8, TensorRT-LLM's mixed precision
};

struct IntFormat {
  int bits = 4;  // 4 or 8
  bool symmetric = true;
  uint64_t group = 128;     // columns that share a scale; 0: a whole row
  uint64_t group_rows = 1;  // rows that share one
  Dtype scale = Dtype::kBF16;
  // Searched scales are numbers of BF16 as well: engines that compute in BF16 round them to it.
  bool bf16_scales = false;
  AbsMaxRule rule = AbsMaxRule::kCompressedTensors;

  int lowest() const { return -(1 << (bits - 1)); }
  int highest() const { return (1 << (bits - 1)) - 1; }
  uint64_t GroupCols(uint64_t cols) const { return group == 0 ? cols : group; }
  // Of a row of `cols` columns; the last one may be shorter.
  uint64_t Groups(uint64_t cols) const {
    return group == 0 || cols == 0 ? 1 : (cols + group - 1) / group;
  }
};

}  // namespace tessera
