#include "verify/forward.h"

#include <algorithm>
#include <cmath>

#include "formats/interruption.h"
#include "verify/attention.h"
#include "verify/matrix_product.h"

namespace tessera {
namespace {

bool HoldsFp8(const Source& source) {
  return std::ranges::any_of(source.storage->weights(), [](const StoredWeight& weight) {
    const Dtype dtype = weight.parts[0]->info.dtype();
    return dtype == Dtype::kF8E4M3 || dtype == Dtype::kF8E5M2;
  });
}

Result<void> CheckRunnable(const Source& source, const ForwardOptions& options) {
  if (source.coverage == Coverage::kMtpOnly) {
    return Fail(Error(ErrorCode::kMissingTensor, "the checkpoint holds an MTP module only")
                    .In(source.checkpoint->dir().string())
                    .Expected("the main model, with or without its MTP module"));
  }
  for (const StoredWeight& weight : source.storage->weights()) {
    if (weight.scheme != nullptr) continue;
    return Fail(Error(ErrorCode::kUnsupported, "a weight of a type that cannot be decoded")
                    .Of(weight.name)
                    .Found(weight.parts[0]->info.Describe()));
  }
  if (options.arithmetic != Arithmetic::kFp8) return {};
  if (!HoldsFp8(source)) {
    return Fail(Error(ErrorCode::kUsage, "FP8 activations go with FP8 weights, and there are none")
                    .In(source.checkpoint->dir().string())
                    .Next("Use --dtype bf16."));
  }
  if (options.weights == WeightValues::kBf16) {
    return Fail(ErrorCode::kUsage,
                "FP8 activations meet FP8 weights: rounding the weights to BF16 excludes them");
  }
  return {};
}

}  // namespace

uint64_t ForwardMemory(const ModelSpec& spec, uint64_t tokens, uint64_t sequence,
                       unsigned threads) {
  const uint64_t hidden = spec.hidden_size, heads = spec.num_attention_heads;
  const uint64_t query = uint64_t{spec.qk_nope_head_dim} + spec.qk_rope_head_dim;
  const uint64_t latent = uint64_t{spec.kv_lora_rank} + spec.qk_rope_head_dim;
  const uint64_t index = uint64_t{spec.index_n_heads} * spec.index_head_dim;
  const uint64_t attention =
      sequence * (heads * (query + spec.v_head_dim) + spec.q_lora_rank + latent + index);
  const uint64_t dense = 2 * sequence * spec.intermediate_size;
  const uint64_t routed_rows =
      std::max(std::min(kRoutedRows, tokens * spec.num_experts_per_tok), tokens);
  const uint64_t experts =
      routed_rows * 2 * (hidden + spec.moe_intermediate_size) +
      2 * tokens * (hidden + uint64_t{spec.moe_intermediate_size} * spec.n_shared_experts) +
      3 * uint64_t{spec.n_routed_experts} * hidden;
  const uint64_t logits = std::min(tokens, kLogitTokens) * spec.vocab_size;
  const uint64_t widest = std::max({hidden * 2, heads * spec.v_head_dim,
                                    uint64_t{spec.intermediate_size}, uint64_t{spec.q_lora_rank}});
  // A panel, the bytes it is made of, and its product.
  const uint64_t panel = std::max(kPanelValues, 128 * widest) * 2 + kMaxPanelRows * tokens;
  const uint64_t head = sequence * (2 * query + 2 * latent + spec.v_head_dim) +
                        2 * kQueryBlock * sequence + uint64_t{spec.index_n_heads} * sequence;
  const uint64_t values = tokens * (5 * hidden + spec.n_routed_experts) +
                          std::max({attention, dense, experts, logits}) + threads * (panel + head);
  return values * sizeof(float) + (index != 0 ? tokens * sequence / 8 : 0);
}

uint64_t RestingForwardMemory(const ModelSpec& spec, uint64_t tokens) {
  const uint64_t logits = std::min(tokens, kLogitTokens) * spec.vocab_size;
  return (tokens * (2 * uint64_t{spec.hidden_size} + spec.n_routed_experts) + logits) *
         sizeof(float);
}

Result<std::unique_ptr<ForwardPass>> ForwardPass::Open(const std::filesystem::path& path,
                                                       const ForwardOptions& options,
                                                       WorkCounters& counters) {
  TESSERA_ASSIGN(Source source, OpenSource(path, options.checkpoint));
  TESSERA_TRY(CheckRunnable(source, options));
  TESSERA_TRY(LoadMatrixProducts());
  Result<ForwardConfig> config = ForwardConfig::FromConfig(source.config, *source.spec);
  if (!config) {
    return Fail(std::move(config).error().Within(source.checkpoint->config_path().string()));
  }
  std::unique_ptr<ForwardPass> pass(new ForwardPass(std::move(source), options, counters));
  pass->config_ = *std::move(config);
  return pass;
}

ForwardPass::ForwardPass(Source source, const ForwardOptions& options, WorkCounters& counters)
    : source_(std::move(source)),
      options_(options),
      weights_(source_, options.weights, options.decoder, counters),
      threads_(options.threads, kMaxMultiplyingThreads) {}

ForwardContext ForwardPass::Context() const {
  return {*source_.spec, config_,           options_.arithmetic,   weights_,
          threads_,      options_.observer, options_.head_observer};
}

Result<void> ForwardPass::CheckSignal() const {
  const int signal = options_.signal == nullptr ? 0 : options_.signal->load();
  if (signal == 0) return {};
  return Fail(InterruptedBy(signal));
}

Result<void> ForwardPass::CheckMemory() {
  const uint64_t needed =
      ForwardMemory(spec(), tokens_.size(), sequences_[0].size(), threads_.count());
  if (needed > options_.memory) {
    return Fail(Error(ErrorCode::kMemoryBudget,
                      std::to_string(tokens_.size()) + " tokens do not fit into the memory budget")
                    .Expected("at least " + std::to_string(needed) + " bytes")
                    .Found(std::to_string(options_.memory))
                    .Next("Raise --memory, or take fewer tokens or threads."));
  }
  uint64_t common = 0;
  for (uint32_t layer = 0; layer < spec().num_hidden_layers; ++layer) {
    common = std::max(common, weights_.CommonBytes(layer));
  }
  // Of the layer that runs and of the next one.
  prefetch_ = common <= (options_.memory - needed) / 2;
  return {};
}

Result<void> ForwardPass::Embed(const TensorRole& table, std::span<const uint32_t> tokens,
                                MatrixView<float> out) const {
  return threads_.TryForEach(tokens.size(), [&](size_t i) {
    return weights_.ReadRows(table, {tokens[i], tokens[i] + uint64_t{1}}, out.Row(i));
  });
}

void ForwardPass::Cut(uint64_t tokens, uint64_t sequence) {
  sequences_.clear();
  for (uint64_t begin = 0; begin < tokens; begin += sequence) {
    sequences_.push_back({begin, std::min(begin + sequence, tokens)});
  }
  selection_.assign(sequences_.size(), KeySelection());
}

Result<void> ForwardPass::Start(std::span<const uint32_t> tokens, uint64_t sequence) {
  if (tokens.empty()) return Fail(ErrorCode::kUsage, "there are no tokens to run");
  Cut(tokens.size(), sequence == 0 ? tokens.size() : sequence);
  const uint64_t longest = sequences_[0].size();
  if (longest > config_.max_position_embeddings) {
    return Fail(Error(ErrorCode::kUsage, "there are more tokens than the model has positions")
                    .Expected("at most " + std::to_string(config_.max_position_embeddings))
                    .Found(std::to_string(longest)));
  }
  TESSERA_CHECK(std::ranges::max(tokens) < spec().vocab_size);
  tokens_.assign(tokens.begin(), tokens.end());
  mtp_ = false;
  TESSERA_TRY(CheckMemory());
  rope_ = RopeTable(config_.rope, spec().qk_rope_head_dim, longest,
                    RoundingOf(options_.arithmetic, spec()));
  stream_ = Matrix<float>(tokens.size(), spec().hidden_size);
  TESSERA_TRY(Embed({.module = Module::kEmbedTokens}, tokens, stream_.view()));
  Round(options_.arithmetic, stream_.values());
  return {};
}

Result<void> ForwardPass::Attend(uint32_t layer, ConstMatrix normed) {
  for (size_t i = 0; i < sequences_.size(); ++i) {
    const auto [begin, end] = sequences_[i];
    TESSERA_TRY(CheckSignal());
    TESSERA_ASSIGN(const Matrix<float> attended,
                   SelfAttention(Context(), layer, rope_, normed.Rows(begin, end), selection_[i]));
    for (uint64_t row = begin; row < end; ++row) {
      AddTo(options_.arithmetic, stream_.view().Row(row), attended.view().Row(row - begin));
    }
  }
  return {};
}

Result<void> ForwardPass::AddDense(uint32_t layer, ConstMatrix normed) {
  for (const auto& [begin, end] : sequences_) {
    TESSERA_ASSIGN(const FeedForwardOutput fed,
                   FeedForward(Context(), layer, normed.Rows(begin, end)));
    for (uint64_t row = begin; row < end; ++row) {
      AddTo(options_.arithmetic, stream_.view().Row(row), fed.values.view().Row(row - begin));
    }
  }
  return {};
}

Result<void> ForwardPass::Layer(uint32_t layer) {
  TESSERA_CHECK(mtp_ ? layer == spec().num_hidden_layers : layer < spec().num_hidden_layers);
  TESSERA_TRY(CheckSignal());
  if (prefetch_ && !mtp_) {
    const bool last = layer + 1 == spec().num_hidden_layers;
    TESSERA_TRY(weights_.Enter(layer, last ? std::nullopt : std::optional(layer + 1)));
  }
  const ForwardContext context = Context();
  TensorRole role{.module = Module::kInputNorm, .layer = static_cast<int32_t>(layer)};
  Matrix<float> normed(stream_.rows(), stream_.cols());
  TESSERA_TRY(ApplyRmsNorm(context, role, config_.rms_norm_eps, stream_.view(), normed.view()));
  TESSERA_TRY(Attend(layer, normed.view()));
  role.module = Module::kPostAttentionNorm;
  TESSERA_TRY(ApplyRmsNorm(context, role, config_.rms_norm_eps, stream_.view(), normed.view()));
  routing_.reset();
  if (spec().IsMoeLayer(layer)) {
    TESSERA_ASSIGN(FeedForwardOutput fed, FeedForward(context, layer, normed.view()));
    AddTo(options_.arithmetic, stream_.values(), fed.values.values());
    routing_ = std::move(fed.routing);
  } else {
    TESSERA_TRY(AddDense(layer, normed.view()));
  }
  weights_.Leave();
  return {};
}

TensorRole ForwardPass::Role(Module module) const {
  return {.module = module, .layer = static_cast<int32_t>(spec().num_hidden_layers)};
}

Result<void> ForwardPass::Finish() {
  TESSERA_TRY(CheckSignal());
  hidden_ = Matrix<float>(stream_.rows(), stream_.cols());
  const TensorRole norm = mtp_ ? Role(Module::kMtpHeadNorm) : TensorRole{Module::kFinalNorm};
  return ApplyRmsNorm(Context(), norm, config_.rms_norm_eps, stream_.view(), hidden_.view());
}

bool ForwardPass::has_mtp() const {
  return spec().num_nextn_predict_layers != 0 && source_.coverage == Coverage::kWhole;
}

Result<void> ForwardPass::StartMtp() {
  TESSERA_CHECK(has_mtp() && !mtp_ && hidden_.rows() == tokens_.size());
  TESSERA_CHECK(sequences_[0].size() > 1);
  const ForwardContext context = Context();
  mtp_ = true;
  const uint64_t width = spec().hidden_size;
  TensorRole table = Role(Module::kMtpEmbedTokens);
  if (weights_.Find(table) == nullptr) table = {.module = Module::kEmbedTokens};
  const std::vector<RowRange> sequences = std::move(sequences_);
  // Each shorter by one; a last one of a single token is gone.
  Cut(tokens_.size() - sequences.size(), sequences[0].size() - 1);
  // The embedding first, as the released weights have it; the technical report says otherwise.
  Matrix<float> both(sequences_.back().end, 2 * width);
  const ConstMatrix final_hidden = hidden_.view();
  const double eps = config_.rms_norm_eps;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    const uint64_t from = sequences[i].begin, rows = sequences_[i].size();
    const auto out = both.view().Rows(sequences_[i].begin, sequences_[i].end);
    const auto embedded = out.Cols(0, width), hidden = out.Cols(width, 2 * width);
    TESSERA_TRY(Embed(table, std::span(tokens_).subspan(from + 1, rows), embedded));
    for (uint64_t k = 0; k < rows; ++k) Round(options_.arithmetic, embedded.Row(k));
    TESSERA_TRY(ApplyRmsNorm(context, Role(Module::kMtpENorm), eps, embedded, embedded));
    TESSERA_TRY(ApplyRmsNorm(context, Role(Module::kMtpHNorm), eps,
                             final_hidden.Rows(from, from + rows), hidden));
  }
  TESSERA_ASSIGN(stream_, Linear(context, Role(Module::kMtpEhProj), both.view()));
  return {};
}

Result<void> ForwardPass::Logits(uint64_t begin, uint64_t end, std::span<float> out) const {
  TESSERA_CHECK(end <= hidden_.rows() && out.size() == (end - begin) * spec().vocab_size);
  TESSERA_TRY(CheckSignal());
  TensorRole head{.module = spec().tie_word_embeddings ? Module::kEmbedTokens : Module::kLmHead};
  if (mtp_ && weights_.Find(Role(Module::kMtpHead)) != nullptr) head = Role(Module::kMtpHead);
  const MatrixView<float> logits{out.data(), end - begin, spec().vocab_size, spec().vocab_size};
  const ConstMatrix hidden = hidden_.view();
  TESSERA_TRY(ApplyLinear(Context(), head, hidden.Rows(begin, end), logits));
  for (uint64_t i = 0; i < logits.rows; ++i) {
    if (std::ranges::all_of(logits.Row(i), [](float x) { return std::isfinite(x); })) continue;
    return Fail(Error(ErrorCode::kNotFinite, "the logits of position " + std::to_string(begin + i) +
                                                 " hold a NaN or an infinity")
                    .In(source_.checkpoint->dir().string())
                    .Next("A weight is damaged, or too large for this arithmetic."));
  }
  return {};
}

}  // namespace tessera
