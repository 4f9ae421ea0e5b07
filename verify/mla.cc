#include "verify/mla.h"

#include <cmath>

#include "verify/attention.h"
#include "verify/indexer.h"

namespace tessera {
namespace {

struct Projections {
  Matrix<float> query;             // [tokens, heads * (nope + rope)], rotated
  Matrix<float> compressed_query;  // [tokens, q_lora_rank], normed; empty without q_lora
  Matrix<float> latent;            // [tokens, kv_lora_rank + rope], normed and rotated
};

Result<Projections> Project(const ForwardContext& context, uint32_t layer, ConstMatrix x) {
  const ModelSpec& spec = context.spec;
  TensorRole role{.layer = static_cast<int32_t>(layer)};
  const auto of = [&role](Module module) { return role.module = module, role; };
  Projections p;
  if (spec.q_lora_rank == 0) {
    TESSERA_ASSIGN(p.query, Linear(context, of(Module::kQ), x));
  } else {
    TESSERA_ASSIGN(p.compressed_query, Linear(context, of(Module::kQA), x));
    const auto query = p.compressed_query.view();
    TESSERA_TRY(ApplyRmsNorm(context, of(Module::kQANorm), kLatentNormEps, query, query));
    TESSERA_ASSIGN(p.query, Linear(context, of(Module::kQB), query));
  }
  TESSERA_ASSIGN(p.latent, Linear(context, of(Module::kKvA), x));
  // Only the latent is normed; the key's rotary part, common to all heads, is not.
  const auto latent = p.latent.view().Cols(0, spec.kv_lora_rank);
  TESSERA_TRY(ApplyRmsNorm(context, of(Module::kKvANorm), kLatentNormEps, latent, latent));
  return p;
}

void Rotate(const ForwardContext& context, const RopeTable& rope, Projections& p) {
  const ModelSpec& spec = context.spec;
  const uint64_t head_dim = uint64_t{spec.qk_nope_head_dim} + spec.qk_rope_head_dim;
  context.threads.ForEach(p.query.rows(), [&](size_t i) {
    for (uint64_t head = 0; head < spec.num_attention_heads; ++head) {
      float* query = p.query.view().row(i) + head * head_dim;
      rope.Rotate(i, context.config.rope_interleave, query + spec.qk_nope_head_dim);
    }
    rope.Rotate(i, context.config.rope_interleave, p.latent.view().row(i) + spec.kv_lora_rank);
  });
}

double SoftmaxScale(const ForwardContext& context) {
  const uint64_t dim = uint64_t{context.spec.qk_nope_head_dim} + context.spec.qk_rope_head_dim;
  return context.config.rope.softmax_factor / std::sqrt(static_cast<double>(dim));
}

Result<void> AttendHead(const ForwardContext& context, const TensorRole& kv_b, const Projections& p,
                        const KeySelection& selection, uint64_t head, MatrixView<float> out) {
  const ModelSpec& spec = context.spec;
  const uint64_t query_dim = uint64_t{spec.qk_nope_head_dim} + spec.qk_rope_head_dim;
  const uint64_t rows = uint64_t{spec.qk_nope_head_dim} + spec.v_head_dim;
  thread_local std::vector<float> values;
  values.resize(rows * spec.kv_lora_rank);
  TESSERA_TRY(context.weights.ReadRows(kv_b, {head * rows, (head + 1) * rows}, values));
  const bool demo = context.arithmetic == Arithmetic::kFp8;
  // The demo absorbs this weight, dequantized to BF16: no quantized activation meets it.
  if (demo) RoundToBf16(values);
  const ConstMatrix latent = p.latent.view();
  HeadInput<float> input{.query = p.query.view().Cols(head * query_dim, (head + 1) * query_dim),
                         .latent = latent.Cols(0, spec.kv_lora_rank),
                         .k_rope = latent.Cols(spec.kv_lora_rank, latent.cols),
                         .kv_b = {values.data(), rows, spec.kv_lora_rank, spec.kv_lora_rank},
                         .scale = SoftmaxScale(context),
                         .bf16 = context.arithmetic != Arithmetic::kF32,
                         .selection = &selection,
                         .mixed = {}};
  const MatrixView<float> head_out =
      out.Cols(head * spec.v_head_dim, (head + 1) * uint64_t{spec.v_head_dim});
  Matrix<float> mixed;
  if (context.head_observer) mixed = Matrix<float>(latent.rows, spec.kv_lora_rank);
  input.mixed = mixed.view();
  demo ? AttendAbsorbed(input, head_out) : AttendNaive(input, head_out);
  if (context.head_observer) {
    context.head_observer(static_cast<uint32_t>(kv_b.layer), head,
                          input.query.Cols(0, spec.qk_nope_head_dim), input.mixed);
  }
  return {};
}

}  // namespace

Result<Matrix<float>> SelfAttention(const ForwardContext& context, uint32_t layer,
                                    const RopeTable& rope, ConstMatrix x, KeySelection& selection) {
  const ModelSpec& spec = context.spec;
  TensorRole role{.module = Module::kKvB, .layer = static_cast<int32_t>(layer)};
  TESSERA_ASSIGN(Projections p, Project(context, layer, x));
  if (spec.HasIndexer(layer)) {
    TESSERA_ASSIGN(selection,
                   SelectKeys(context, layer, rope, x, ConstMatrix(p.compressed_query.view())));
  }
  Rotate(context, rope, p);
  if (context.observer) {
    context.observer(role, p.latent.view().Cols(0, spec.kv_lora_rank));
  }
  Matrix<float> heads(x.rows, uint64_t{spec.num_attention_heads} * spec.v_head_dim);
  TESSERA_TRY(context.threads.TryForEach(spec.num_attention_heads, [&](size_t head) {
    return AttendHead(context, role, p, selection, head, heads.view());
  }));
  role.module = Module::kO;
  return Linear(context, role, heads.view());
}

}  // namespace tessera
