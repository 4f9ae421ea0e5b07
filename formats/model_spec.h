// config.json understood once, and a two-way map between tensor names and roles such as
// {layer 3, routed expert 17, down_proj, weight}. Nothing else in the project takes names apart.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

enum class Family : uint8_t { kV2, kV2Lite, kV3, kV31, kV32, kK2, kMoonlight, kGlm5 };
std::string_view Name(
    Family family);  // "v2", "v2-lite", "v3", "v3.1", "v3.2", "k2", "moonlight", "glm5"

enum class Module : uint8_t {
  kEmbedTokens,
  kFinalNorm,
  kLmHead,
  // Every layer.
  kInputNorm,
  kPostAttentionNorm,
  // Attention. kQ where there is no q_lora, else kQA, kQANorm, kQB.
  kQ,
  kQA,
  kQANorm,
  kQB,
  kKvA,  // kv_a_proj_with_mqa
  kKvANorm,
  kKvB,
  kO,
  kRotaryInvFreq,  // stray in Kimi-K2: derived data, never weights
  // V3.2 and GLM-5.
  kIndexerWqB,
  kIndexerWk,
  kIndexerWeightsProj,
  kIndexerKNorm,
  // Feed-forward; `mlp` says dense, shared or routed.
  kRouter,
  kGateProj,
  kUpProj,
  kDownProj,
  // MTP extras, in layers num_hidden_layers and up.
  kMtpEmbedTokens,
  kMtpENorm,
  kMtpHNorm,
  kMtpEhProj,
  kMtpHeadNorm,  // shared_head.norm
  kMtpHead,      // shared_head.head
};

enum class Mlp : uint8_t { kNone, kDense, kShared, kRouted };

// Which of a module's tensors; named by its HF suffix.
enum class Part : uint8_t {
  kWeight,
  kBias,        // indexer.k_norm.bias
  kRouterBias,  // gate.e_score_correction_bias
  kBuffer,      // rotary_emb.inv_freq
  // Where a matrix is stored as integers, its codes under another name than `weight` ...
  kPacked,    // weight_packed
  kQWeight,   // qweight
  kKeyHeads,  // k_b: of kv_b_proj as GGUF splits it
  // ... and what is kept beside codes.
  kScaleInv,     // weight_scale_inv
  kScale,        // weight_scale
  kZeroPoint,    // weight_zero_point
  kWeightShape,  // weight_shape
  kOffset,       // weight_offset
  kScales,       // scales
  kZeros,        // qzeros
  kGIdx,         // g_idx
  kInputScale,   // input_scale; of routed experts, which spell their projections w1, w2 and w3 then
  kValueHeads,   // v_b, the other half of kv_b_proj
};

// A weight's codes: what a matrix of the model is found by. Exactly one of a matrix's tensors is.
constexpr bool IsCodes(Part part) {
  return part == Part::kWeight || part == Part::kPacked || part == Part::kQWeight ||
         part == Part::kKeyHeads;
}
// What is kept beside the codes of a quantized weight.
constexpr bool IsBesideCodes(Part part) { return part >= Part::kScaleInv; }

// What the last component of a Hugging Face name says, whatever the model; nullopt for other words.
std::optional<Part> PartOf(std::string_view name);

struct TensorRole {
  Module module{};
  Mlp mlp = Mlp::kNone;
  Part part = Part::kWeight;
  int32_t layer = -1;   // -1 for embedding, final norm and head
  int32_t expert = -1;  // routed experts only

  friend auto operator<=>(const TensorRole&, const TensorRole&) = default;
};

enum class NameStyle : uint8_t {
  kHf,
  kDeepSeek
};  // kDeepSeek: the demo's, `layers.0.attn.wq_a.weight`

class ModelSpec {
 public:
  // kUnknownModelType lists the known ones; kBadConfig names the field, what it must be and what it
  // is.
  static Result<ModelSpec> FromConfig(const Json& config);
  // From a checkpoint's config.json; kNoConfig if it has none.
  static Result<ModelSpec> Of(const Checkpoint& checkpoint);

  Family family() const { return family_; }
  const std::string& model_type() const { return model_type_; }

  // Dimensions, named as in config.json.
  uint32_t hidden_size = 0, num_hidden_layers = 0, num_nextn_predict_layers = 0;
  uint32_t first_k_dense_replace = 0, moe_layer_freq = 1;
  uint32_t intermediate_size = 0, moe_intermediate_size = 0;
  uint32_t n_routed_experts = 0, n_shared_experts = 0, num_experts_per_tok = 0;
  uint32_t num_attention_heads = 0, q_lora_rank = 0 /* 0: plain q_proj */, kv_lora_rank = 0;
  uint32_t qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  uint32_t index_head_dim = 0, index_n_heads = 0, index_topk = 0;  // 0: no indexer
  uint32_t vocab_size = 0;
  bool tie_word_embeddings = false, has_router_bias = false;

  uint32_t total_layers() const { return num_hidden_layers + num_nextn_predict_layers; }
  bool IsMtpLayer(int32_t layer) const { return layer >= static_cast<int32_t>(num_hidden_layers); }
  bool IsMtp(const TensorRole& role) const { return IsMtpLayer(role.layer); }
  bool IsMoeLayer(uint32_t layer) const;
  bool HasIndexer(
      uint32_t layer) const;  // GLM-5.2's indexer_types says "shared" for layers without

  // nullopt for a name that this model does not have, layer and expert numbers in range included.
  std::optional<TensorRole> Parse(std::string_view name, NameStyle style = NameStyle::kHf) const;
  std::string NameOf(const TensorRole& role, NameStyle style = NameStyle::kHf) const;

  // [out, in] for a linear, [n] for a norm or bias. nullopt of a buffer and of all parts that only
  // quantized weights have: their shapes depend on how.
  std::optional<Shape> ShapeOf(const TensorRole& role) const;

  // Whether a checkpoint may come without it: MTP copies of embed and head, stray buffers, a tied
  // lm_head.
  bool IsOptional(const TensorRole& role) const;

  // Visits every role except scales and buffers that a whole checkpoint of this model has, in the
  // order in which DeepSeek wrote them: by layer; attention, router, shared, experts, norms, MTP
  // extras.
  void ForEach(const std::function<void(const TensorRole&)>& visit) const;

 private:
  // Whether the model can have such a tensor, optional ones and scales of any matrix included.
  bool Has(const TensorRole& role) const;
  Shape WeightShape(const TensorRole& role) const;
  void ForEachInLayer(uint32_t layer, const std::function<void(const TensorRole&)>& visit) const;

  Result<void> ReadDimensions(const Json& config);
  Result<void> ReadSwitches(const Json& config);
  Result<void> ReadIndexer(const Json& config);
  Result<void> CheckDimensions() const;

  Family family_{};
  std::string model_type_;
  std::vector<bool> indexer_shared_;  // by layer; beyond its end layers have an indexer
};

// Which layers of the model a checkpoint holds.
enum class Coverage : uint8_t { kWhole, kMainOnly, kMtpOnly };

// Every tensor has a role, every role that is not optional has its tensor (a weight is there if its
// codes are, under whichever name), shapes match. The shape of codes that are integers depends on
// how they are packed: those are StorageMap's to judge. kMainOnly
// is what num_nextn_predict_layers = 0 describes, so a checkpoint of the main model under a config
// that promises an MTP module is a fault; kMtpOnly is accepted as such. Returns all faults, at most
// `limit`, missing tensors first, each naming the tensor.
struct CompletenessReport {
  Coverage coverage = Coverage::kWhole;
  std::vector<Error> faults;
};
CompletenessReport CheckCompleteness(const ModelSpec& spec, const Checkpoint& checkpoint,
                                     size_t limit = 100);

}  // namespace tessera
