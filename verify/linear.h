// One linear layer of a forward pass, its weight streamed in panels of rows.
#pragma once

#include <functional>

#include "formats/model_spec.h"
#include "verify/arithmetic.h"
#include "verify/forward_config.h"
#include "verify/matrix.h"
#include "verify/model_weights.h"
#include "verify/parallel.h"

namespace tessera {

// Sees the input [tokens, in] of every linear before it is used: of a routed expert only the tokens
// that go there. Called once a linear and sequence, for different experts at the same time.
using LinearObserver = std::function<void(const TensorRole& weight, ConstMatrix input)>;

// Sees what the halves of kv_b_proj meet where they are absorbed, head by head, heads at the same
// time: the K half the query's part without positions [tokens, nope], the V half the latent as the
// attention mixes it [tokens, kv_lora_rank]. GGUF files hold them so, as attn_k_b and attn_v_b.
using HeadObserver =
    std::function<void(uint32_t layer, uint64_t head, ConstMatrix query, ConstMatrix mixed)>;

// What the parts of a forward pass share. Borrows all of it.
struct ForwardContext {
  const ModelSpec& spec;
  const ForwardConfig& config;
  Arithmetic arithmetic;
  const ModelWeights& weights;
  const Threads& threads;
  const LinearObserver& observer;     // may be empty
  const HeadObserver& head_observer;  // may be empty
};

// y = x W^T. Only panels of W are in memory as F32: about kPanelValues values, of 128 to
// kMaxPanelRows rows, a thread.
inline constexpr uint64_t kPanelValues = uint64_t{1} << 21;
inline constexpr uint64_t kMaxPanelRows = 512;
uint64_t PanelRows(uint64_t cols);
Result<void> ApplyLinear(const ForwardContext& context, const TensorRole& weight, ConstMatrix x,
                         MatrixView<float> y);

// The same into a new matrix.
Result<Matrix<float>> Linear(const ForwardContext& context, const TensorRole& weight,
                             ConstMatrix x);

// Normalises every row of x, which `out` may be, with the weight of `norm`.
Result<void> ApplyRmsNorm(const ForwardContext& context, const TensorRole& norm, double eps,
                          ConstMatrix x, MatrixView<float> out);

}  // namespace tessera
