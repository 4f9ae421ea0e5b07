#include "convert/gguf_mix.h"

#include <algorithm>
#include <iterator>

namespace tessera {
namespace {

using Id = GgufMixId;

constexpr GgufMix kMixes[] = {
    {Id::kF32, "F32", "", Dtype::kF32, 0},
    {Id::kF16, "F16", "", Dtype::kF16, 1},
    {Id::kBf16, "BF16", "", Dtype::kBF16, 32},
    {Id::kQ8_0, "Q8_0", "", Dtype::kQ8_0, 7},
    {Id::kQ4_0, "Q4_0", "", Dtype::kQ4_0, 2},
    {Id::kQ4_1, "Q4_1", "", Dtype::kQ4_1, 3},
    {Id::kQ5_0, "Q5_0", "", Dtype::kQ5_0, 8},
    {Id::kQ5_1, "Q5_1", "", Dtype::kQ5_1, 9},
    {Id::kQ2_K, "Q2_K", "", Dtype::kQ2_K, 10},
    {Id::kQ2_K_S, "Q2_K_S", "", Dtype::kQ2_K, 21},
    {Id::kQ3_K_S, "Q3_K_S", "", Dtype::kQ3_K, 11},
    {Id::kQ3_K_M, "Q3_K_M", "Q3_K", Dtype::kQ3_K, 12},
    {Id::kQ3_K_L, "Q3_K_L", "", Dtype::kQ3_K, 13},
    {Id::kQ4_K_S, "Q4_K_S", "", Dtype::kQ4_K, 14},
    {Id::kQ4_K_M, "Q4_K_M", "Q4_K", Dtype::kQ4_K, 15},
    {Id::kQ5_K_S, "Q5_K_S", "", Dtype::kQ5_K, 16},
    {Id::kQ5_K_M, "Q5_K_M", "Q5_K", Dtype::kQ5_K, 17},
    {Id::kQ6_K, "Q6_K", "", Dtype::kQ6_K, 18},
    {Id::kIq4Nl, "IQ4_NL", "", Dtype::kIq4Nl, 25},
    {Id::kIq4Xs, "IQ4_XS", "", Dtype::kIq4Xs, 30},
    {Id::kMxfp4Moe, "MXFP4_MOE", "MXFP4", Dtype::kMxfp4, 38},
    {Id::kDynamicQ2, "dynamic-Q2", "", Dtype::kQ2_K, 10},
    {Id::kDynamicQ3, "dynamic-Q3", "", Dtype::kQ3_K, 12},
    {Id::kDynamicQ4, "dynamic-Q4", "", Dtype::kQ4_K, 15},
};

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameWord(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, Lower, Lower);
}

// The first and last eighths of the layers, and every third one between.
bool DeservesMoreBits(uint32_t layer, uint32_t layers) {
  const uint32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

bool IsHead(const GgufTensorRole& tensor, const GgufModel& model) {
  return tensor.role.module == Module::kLmHead ||
         (model.tied && tensor.role.module == Module::kEmbedTokens);
}

Dtype HeadType(const GgufMix& mix, const Shape& shape) {
  const bool whole_blocks = shape.back() % Info(mix.base).block == 0;
  if (mix.id == Id::kMxfp4Moe || mix.id == Id::kQ8_0 || !whole_blocks) return Dtype::kQ8_0;
  return Dtype::kQ6_K;
}

Dtype DownProjType(const GgufMix& mix, const GgufModel& model, uint32_t layer) {
  const bool early = layer < model.layers / 8;
  switch (mix.id) {
    case Id::kQ2_K:
      return Dtype::kQ3_K;
    case Id::kQ2_K_S:
      return early ? Dtype::kQ4_K : mix.base;
    case Id::kQ3_K_M:
      return layer < model.layers / 16 ? Dtype::kQ5_K : Dtype::kQ4_K;
    case Id::kQ3_K_L:
      return Dtype::kQ5_K;
    case Id::kQ4_K_S:
      return early ? Dtype::kQ5_K : mix.base;
    case Id::kQ4_K_M:
    case Id::kQ5_K_M:
      return DeservesMoreBits(layer, model.layers) ? Dtype::kQ6_K : mix.base;
    case Id::kIq4Nl:
    case Id::kIq4Xs:
      return early && !model.weighted ? Dtype::kQ5_K : mix.base;
    case Id::kQ4_0:
      return early && model.weighted ? Dtype::kQ4_1 : mix.base;
    case Id::kQ5_0:
      return early && model.weighted ? Dtype::kQ5_1 : mix.base;
    default:
      return mix.base;
  }
}

Dtype OutProjType(const GgufMix& mix, const GgufModel& model) {
  if (model.experts == 8) {
    constexpr Id kRaised[] = {Id::kQ2_K,   Id::kQ3_K_S, Id::kQ3_K_M, Id::kQ4_K_S,
                              Id::kQ4_K_M, Id::kIq4Nl,  Id::kIq4Xs};
    return std::ranges::find(kRaised, mix.id) != std::end(kRaised) ? Dtype::kQ5_K : mix.base;
  }
  switch (mix.id) {
    case Id::kQ2_K:
      return Dtype::kQ3_K;
    case Id::kQ3_K_M:
      return Dtype::kQ4_K;
    case Id::kQ3_K_L:
      return Dtype::kQ5_K;
    default:
      return mix.base;
  }
}

// Few bits where most weights are and each token uses little of them: in the routed experts. What
// every token goes through keeps more, most of all the halves of kv_b, which hardly weigh anything.
Dtype DynamicType(const GgufMix& mix, const GgufModel& model, const GgufTensorRole& tensor) {
  const TensorRole& role = tensor.role;
  if (IsHead(tensor, model) || role.module == Module::kMtpHead) return Dtype::kQ6_K;
  if (role.module == Module::kKvA || role.module == Module::kKvB) return Dtype::kQ8_0;
  if (role.mlp == Mlp::kDense || role.mlp == Mlp::kShared) return Dtype::kQ6_K;
  if (role.mlp == Mlp::kRouted) {
    if (role.module != Module::kDownProj) return mix.base;
    return mix.id == Id::kDynamicQ2   ? Dtype::kQ3_K
           : mix.id == Id::kDynamicQ3 ? Dtype::kQ4_K
                                      : Dtype::kQ5_K;
  }
  const bool embedding =
      role.module == Module::kEmbedTokens || role.module == Module::kMtpEmbedTokens;
  return mix.id == Id::kDynamicQ4 && !embedding ? Dtype::kQ5_K : Dtype::kQ4_K;
}

}  // namespace

std::span<const GgufMix> GgufMixes() { return kMixes; }

const GgufMix* FindGgufMix(std::string_view name) {
  const auto mix = std::ranges::find_if(kMixes, [&](const GgufMix& m) {
    return SameWord(m.name, name) || (!m.alias.empty() && SameWord(m.alias, name));
  });
  return mix == std::end(kMixes) ? nullptr : &*mix;
}

Dtype MixedType(const GgufMix& mix, const GgufModel& model, const GgufTensorRole& tensor,
                const Shape& shape) {
  if (IsPlainFloat(mix.base)) return mix.base;
  if (mix.id >= Id::kDynamicQ2) return DynamicType(mix, model, tensor);
  if (IsHead(tensor, model)) return HeadType(mix, shape);
  if (mix.id == Id::kMxfp4Moe) {
    const bool stacked = shape.size() > 2 && shape[0] > 1;
    return stacked ? Dtype::kMxfp4 : Dtype::kQ8_0;
  }
  if (tensor.role.module == Module::kDownProj) {
    return DownProjType(mix, model, static_cast<uint32_t>(tensor.role.layer));
  }
  if (tensor.role.module == Module::kO) return OutProjType(mix, model);
  return mix.base;
}

bool NeedsImportance(const GgufMix& mix, const GgufTensorRole& tensor, Dtype dtype) {
  const Module module = tensor.role.module;
  return mix.id == Id::kQ2_K_S && dtype == Dtype::kQ2_K && module != Module::kEmbedTokens &&
         module != Module::kLmHead;
}

}  // namespace tessera
