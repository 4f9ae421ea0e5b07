// What llama.cpp's architecture `deepseek2` calls the tensors of a model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "formats/model_spec.h"

namespace tessera {

// A tensor of a GGUF file: one of the model, except that the routed experts of a layer share one
// for each projection, and that kv_b_proj is two.
struct GgufTensorRole {
  TensorRole role;    // a stack's has no expert (-1)
  uint32_t part = 0;  // of kv_b_proj: 0 attn_k_b, 1 attn_v_b

  friend auto operator<=>(const GgufTensorRole&, const GgufTensorRole&) = default;
};

// "blk.3.ffn_gate_exps.weight". An expert's tensor is its stack. nullopt for what the architecture
// has no place for: indexers, buffers, and whatever only quantized weights have.
std::optional<std::string> GgufNameOf(const TensorRole& role, uint32_t part = 0);

// nullopt for other names. Whether the model has such a tensor is ModelSpec's to say.
std::optional<GgufTensorRole> ParseGgufName(std::string_view name);

}  // namespace tessera
