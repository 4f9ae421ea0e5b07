// What `tessera gguf --type` can name: which type each tensor gets. Except for the dynamic ones, as
// llama-quantize chooses for the architecture deepseek2.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "formats/dtype.h"
#include "formats/gguf_names.h"
#include "formats/tensor.h"

namespace tessera {

// In the order of help and documentation.
enum class GgufMixId : uint8_t {
  kF32,
  kF16,
  kBf16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ2_K_S,
  kQ3_K_S,
  kQ3_K_M,
  kQ3_K_L,
  kQ4_K_S,
  kQ4_K_M,
  kQ5_K_S,
  kQ5_K_M,
  kQ6_K,
  kIq4Nl,
  kIq4Xs,
  kMxfp4Moe,
  kDynamicQ2,
  kDynamicQ3,
  kDynamicQ4,
};

struct GgufMix {
  GgufMixId id;
  std::string_view name, alias;  // `alias`: llama-quantize's other spelling, or none
  Dtype base;                    // of tensors that no rule of the mix raises or lowers
  uint32_t file_type;            // general.file_type; of a dynamic one, what comes nearest
};

std::span<const GgufMix> GgufMixes();
// By name or alias, in any case of letters; nullptr: there is none.
const GgufMix* FindGgufMix(std::string_view name);

// What of a model a mix depends on.
struct GgufModel {
  uint32_t layers = 0;  // of the file, an MTP module's included
  uint32_t experts = 0;
  bool tied = false;      // the embedding is the head
  bool weighted = false;  // there is an importance matrix
};

// Before shapes and rules of the user's are considered. `shape` is row-major, [stack, rows,
// columns].
Dtype MixedType(const GgufMix& mix, const GgufModel& model, const GgufTensorRole& tensor,
                const Shape& shape);

// llama-quantize refuses some types where no importance matrix tells which columns matter.
bool NeedsImportance(const GgufMix& mix, const GgufTensorRole& tensor, Dtype dtype);

}  // namespace tessera
