// Sets of linears, by what quantizations and engines treat alike. Router, norms, embeddings, heads,
// eh_proj and the indexer's float parts are in none.
#pragma once

#include <cstdint>
#include <string>

#include "formats/model_spec.h"

namespace tessera {

using ModuleSet = uint8_t;
inline constexpr ModuleSet kRoutedExperts = 1, kSharedExperts = 2, kDenseMlp = 4;
inline constexpr ModuleSet kAProjections = 8;  // q_a_proj and kv_a_proj_with_mqa, which are fused
inline constexpr ModuleSet kAttention = 16;    // q_proj, q_b_proj, o_proj, indexer.wq_b
inline constexpr ModuleSet kKvB = 32;
inline constexpr ModuleSet kAllLinears = 63;
inline constexpr ModuleSet kAllButKvB = kAllLinears & ~kKvB;
// The indexer's wk is in none of these: no engine has a loader for it but BF16 and block FP8.
inline constexpr ModuleSet kIndexerWk = 64;
// What DeepSeek stores in block FP8.
inline constexpr ModuleSet kFp8Linears = kAllLinears | kIndexerWk;

// The set a linear belongs to; 0 for what is none of them, and for the indexer's wk.
ModuleSet SetOf(const TensorRole& role);
// Of a linear's weight, MTP layers included.
bool Contains(ModuleSet set, const TensorRole& role);
// "routed experts, attention"
std::string NamesOf(ModuleSet modules);

}  // namespace tessera
