// Which linears a quantization reaches, by role. Router, norms, embeddings, heads, eh_proj and the
// indexer's float parts are in no set.
#pragma once

#include <cstdint>
#include <string_view>

#include "formats/model_spec.h"

namespace tessera {

enum class ModuleSet : uint8_t {
  kRoutedExperts,
  kLinears,        // attention without kv_b_proj, and all MLPs
  kLinearsAndKvB,  // and kv_b_proj
  kFp8Linears,     // what DeepSeek stores in block FP8: V3.2's indexer.wq_b and wk too
};
std::string_view Name(ModuleSet set);  // "routed experts", ...

// Of a linear's weight, MTP layers included.
bool Contains(ModuleSet set, const TensorRole& role);

}  // namespace tessera
