#include "verify/forward_compare.h"

#include <algorithm>
#include <utility>

#include "verify/forward_judgement.h"
#include "verify/tokenizer_match.h"

namespace tessera {
namespace {

struct Dimension {
  const char* name;
  uint32_t ModelSpec::* value;
};

// What two passes must share to be compared step by step. How positions are turned, experts chosen
// and norms taken is not among it: what that changes, the comparison shows.
constexpr Dimension kDimensions[] = {
    {"vocab_size", &ModelSpec::vocab_size},
    {"hidden_size", &ModelSpec::hidden_size},
    {"num_hidden_layers", &ModelSpec::num_hidden_layers},
    {"first_k_dense_replace", &ModelSpec::first_k_dense_replace},
    {"moe_layer_freq", &ModelSpec::moe_layer_freq},
    {"intermediate_size", &ModelSpec::intermediate_size},
    {"moe_intermediate_size", &ModelSpec::moe_intermediate_size},
    {"n_routed_experts", &ModelSpec::n_routed_experts},
    {"n_shared_experts", &ModelSpec::n_shared_experts},
    {"num_experts_per_tok", &ModelSpec::num_experts_per_tok},
    {"num_attention_heads", &ModelSpec::num_attention_heads},
    {"q_lora_rank", &ModelSpec::q_lora_rank},
    {"kv_lora_rank", &ModelSpec::kv_lora_rank},
    {"qk_nope_head_dim", &ModelSpec::qk_nope_head_dim},
    {"qk_rope_head_dim", &ModelSpec::qk_rope_head_dim},
    {"v_head_dim", &ModelSpec::v_head_dim},
    {"index_head_dim", &ModelSpec::index_head_dim},
    {"index_n_heads", &ModelSpec::index_n_heads},
    {"index_topk", &ModelSpec::index_topk},
};

Result<void> CheckSameArchitecture(const ForwardPass& a, const ForwardPass& b) {
  for (const auto& [name, value] : kDimensions) {
    if (a.spec().*value == b.spec().*value) continue;
    const std::string field = std::string(name) + " ";
    return Fail(Error(ErrorCode::kUsage, "A and B are not one architecture")
                    .In(b.source().checkpoint->dir().string())
                    .Expected(field + std::to_string(a.spec().*value) + ", as A has it")
                    .Found(field + std::to_string(b.spec().*value)));
  }
  return {};
}

// Beside BF16 there may be F32, as routers' biases are; of F32 alone nothing was rounded.
bool IsPlainBf16(const StorageMap& storage) {
  const auto is = [](const StoredWeight& weight, Dtype dtype) {
    return !weight.is_quantized() && weight.parts[0]->info.dtype() == dtype;
  };
  const auto is_bf16 = [&](const StoredWeight& weight) { return is(weight, Dtype::kBF16); };
  return std::ranges::any_of(storage.weights(), is_bf16) &&
         std::ranges::all_of(storage.weights(), [&](const StoredWeight& weight) {
           return is_bf16(weight) || is(weight, Dtype::kF32);
         });
}

ComparedSide SideOf(const std::filesystem::path& path, const ForwardPass& pass) {
  const Source& source = pass.source();
  return {.path = path.string(),
          .tensors = source.storage->weights().size(),
          .bytes = source.checkpoint->payload_bytes()};
}

TokenTexts TextsOfWorst(const LogitComparison& logits, const ForwardPass& a, const ForwardPass& b) {
  std::vector<uint32_t> ids;
  for (const WorstToken& worst : logits.worst) {
    ids.push_back(worst.token);
    if (worst.next) ids.push_back(*worst.next);
    for (const TokenProbability& entry : worst.top_a) ids.push_back(entry.token);
    for (const TokenProbability& entry : worst.top_b) ids.push_back(entry.token);
  }
  const TokenTexts texts = TextsOf(a.source().checkpoint->dir(), ids);
  return texts.empty() ? TextsOf(b.source().checkpoint->dir(), ids) : texts;
}

// The share of drafts that the main model would have made itself.
double Acceptance(std::span<const uint32_t> drafts, std::span<const uint32_t> choices) {
  uint64_t accepted = 0;
  for (size_t i = 0; i < drafts.size(); ++i) accepted += drafts[i] == choices[i + 1] ? 1 : 0;
  return static_cast<double>(accepted) / static_cast<double>(drafts.size());
}

}  // namespace

Result<std::unique_ptr<ForwardComparer>> ForwardComparer::Open(const std::filesystem::path& a,
                                                               const std::filesystem::path& b,
                                                               const ForwardCompareOptions& options,
                                                               WorkCounters& counters) {
  ForwardCompareOptions settled = options;
  ForwardOptions run_b = options.run;
  TESSERA_ASSIGN(std::unique_ptr<ForwardPass> pass_b, ForwardPass::Open(b, run_b, counters));
  if (!settled.weights) {
    const bool rounded = IsPlainBf16(*pass_b->source().storage);
    settled.weights = rounded ? WeightValues::kBf16 : WeightValues::kStored;
  }
  ForwardOptions run_a = options.run;
  run_a.weights = *settled.weights;
  TESSERA_ASSIGN(std::unique_ptr<ForwardPass> pass_a, ForwardPass::Open(a, run_a, counters));
  TESSERA_TRY(CheckSameArchitecture(*pass_a, *pass_b));
  TESSERA_TRY(
      CheckSameTokenizer(pass_a->source().checkpoint->dir(), pass_b->source().checkpoint->dir()));
  std::unique_ptr<ForwardComparer> comparer(
      new ForwardComparer(std::move(pass_a), std::move(pass_b), settled));
  comparer->path_a_ = a;
  comparer->path_b_ = b;
  return comparer;
}

// One pass works while the other rests; what is left over holds the layers that both read ahead.
Result<void> ForwardComparer::ShareMemory(uint64_t tokens) {
  const uint64_t working = ForwardMemory(spec(), tokens, tokens, threads_.count());
  const uint64_t needed = working + RestingForwardMemory(spec(), tokens);
  const uint64_t memory = options_.run.memory;
  if (needed > memory) {
    return Fail(Error(ErrorCode::kMemoryBudget, std::to_string(tokens) +
                                                    " tokens in two passes do not fit into the "
                                                    "memory budget")
                    .Expected("at least " + std::to_string(needed) + " bytes")
                    .Found(std::to_string(memory))
                    .Next("Raise --memory, or take fewer tokens or threads."));
  }
  a_->set_memory(working + (memory - needed) / 2);
  b_->set_memory(working + (memory - needed) / 2);
  return {};
}

Result<std::vector<LayerComparison>> ForwardComparer::CompareLayers() {
  LayerComparer comparer(threads_);
  std::vector<LayerComparison> layers;
  for (uint32_t layer = 0; layer < spec().num_hidden_layers; ++layer) {
    TESSERA_TRY(a_->Layer(layer));
    TESSERA_TRY(b_->Layer(layer));
    layers.push_back(comparer.Compare(layer, a_->residual(), b_->residual()));
    if (a_->routing() && b_->routing()) {
      layers.back().routing = CompareRouting(*a_->routing(), *b_->routing());
    }
  }
  return layers;
}

Result<LogitComparison> ForwardComparer::CompareLogits(std::span<const uint32_t> text) {
  const uint64_t positions = text.size(), vocab = spec().vocab_size;
  const uint64_t chunk = std::min(kLogitTokens, positions);
  Matrix<float> logits_a(chunk, vocab), logits_b(chunk, vocab);
  LogitComparer comparer(text, threads_);
  for (uint64_t begin = 0; begin < positions; begin += kLogitTokens) {
    const uint64_t end = std::min(begin + kLogitTokens, positions);
    TESSERA_TRY(a_->Logits(begin, end, logits_a.values().first((end - begin) * vocab)));
    TESSERA_TRY(b_->Logits(begin, end, logits_b.values().first((end - begin) * vocab)));
    const Matrix<float>&a = logits_a, &b = logits_b;
    comparer.Add(a.view().Rows(0, end - begin), b.view().Rows(0, end - begin));
  }
  return comparer.Finish();
}

Result<DraftComparison> ForwardComparer::CompareDrafts(std::span<const uint32_t> tokens,
                                                       const LogitComparison& main) {
  const uint32_t layer = spec().num_hidden_layers;
  for (ForwardPass* pass : {a_.get(), b_.get()}) {
    TESSERA_TRY(pass->StartMtp());
    TESSERA_TRY(pass->Layer(layer));
    TESSERA_TRY(pass->Finish());
  }
  DraftComparison drafts;
  TESSERA_ASSIGN(drafts.logits, CompareLogits(tokens.subspan(1)));
  drafts.acceptance_a = Acceptance(drafts.logits.top_a, main.top_a);
  drafts.acceptance_b = Acceptance(drafts.logits.top_b, main.top_b);
  return drafts;
}

Result<ForwardComparison> ForwardComparer::Run(std::span<const uint32_t> tokens) {
  TESSERA_TRY(ShareMemory(tokens.size()));
  ForwardComparison result;
  result.a = SideOf(path_a_, *a_);
  result.b = SideOf(path_b_, *b_);
  result.tokens = tokens.size();
  result.arithmetic = options_.run.arithmetic;
  result.weights = *options_.weights;
  result.kind = KindOfChange(*a_->source().storage, *b_->source().storage);
  TESSERA_TRY(a_->Start(tokens));
  TESSERA_TRY(b_->Start(tokens));
  TESSERA_ASSIGN(result.layers, CompareLayers());
  for (const LayerComparison& layer : result.layers) {
    if (layer.routing) result.routing.Add(*layer.routing);
  }
  TESSERA_TRY(a_->Finish());
  TESSERA_TRY(b_->Finish());
  TESSERA_ASSIGN(result.logits, CompareLogits(tokens));
  if (a_->has_mtp() && b_->has_mtp() && tokens.size() > 1) {
    TESSERA_ASSIGN(result.drafts, CompareDrafts(tokens, result.logits));
  }
  if (!result.logits.identical) result.texts = TextsOfWorst(result.logits, *a_, *b_);
  JudgeForward(options_.gates, result);
  return result;
}

bool ForwardComparison::passes() const { return std::ranges::all_of(gates, &GateResult::ok); }

const LayerComparison& ForwardComparison::FurthestLayer() const {
  return *std::ranges::max_element(layers, {}, &LayerComparison::error);
}

}  // namespace tessera
