#include "convert/synth_config.h"

#include <initializer_list>
#include <string_view>
#include <utility>

#include "convert/released_configs.h"
#include "convert/synth_layout.h"
#include "formats/model_spec.h"
#include "quant/module_set.h"

namespace tessera {
namespace {

using Fields = std::initializer_list<std::pair<const char*, Json>>;

// Changes fields where they stand; a field that the family does not have stays away.
void Set(Json& config, const Fields& fields) {
  for (const auto& [field, value] : fields) {
    if (config.contains(field)) config[field] = value;
  }
}

Json Parsed(std::string_view text) {
  Result<Json> json = ParseJson(text);
  TESSERA_CHECK(json.has_value());
  return *std::move(json);
}

Json V2Config() {
  Json config = Parsed(kReleasedV2LiteConfig);
  Set(config, {{"hidden_size", 5120},
               {"intermediate_size", 12288},
               {"moe_intermediate_size", 1536},
               {"n_group", 8},
               {"n_routed_experts", 160},
               {"num_attention_heads", 128},
               {"num_hidden_layers", 60},
               {"num_key_value_heads", 128},
               {"q_lora_rank", 1536},
               {"routed_scaling_factor", 16.0},
               {"topk_group", 3},
               {"topk_method", "group_limited_greedy"}});
  return config;
}

Json MoonlightConfig() {
  Json config = Parsed(kReleasedK2Config);
  config.erase("quantization_config");
  Set(config, {{"hidden_size", 2048},
               {"intermediate_size", 11264},
               {"max_position_embeddings", 8192},
               {"model_type", "deepseek_v3"},
               {"moe_intermediate_size", 1408},
               {"n_routed_experts", 64},
               {"n_shared_experts", 2},
               {"num_attention_heads", 16},
               {"num_experts_per_tok", 6},
               {"num_hidden_layers", 27},
               {"num_key_value_heads", 16},
               {"q_lora_rank", nullptr},
               {"rope_scaling", nullptr},
               {"routed_scaling_factor", 2.446}});
  return config;
}

Json ReleasedConfig(Family family) {
  switch (family) {
    case Family::kV2:
      return V2Config();
    case Family::kV2Lite:
      return Parsed(kReleasedV2LiteConfig);
    case Family::kV3:
    case Family::kV31:
      return Parsed(kReleasedV3Config);
    case Family::kV32:
      return Parsed(kReleasedV32Config);
    case Family::kK2:
      return Parsed(kReleasedK2Config);
    case Family::kMoonlight:
      return MoonlightConfig();
    case Family::kGlm5:
      return Parsed(kReleasedGlm5Config);
  }
  return Parsed(kReleasedV3Config);
}

// Token numbers of the released vocabulary mean nothing in a smaller one.
void UseSmallVocabulary(Json& config, uint32_t size) {
  const bool list = config["eos_token_id"].is_array();
  Set(config, {{"vocab_size", size},
               {"bos_token_id", 0},
               {"eos_token_id", list ? Json::array({1}) : Json(1)},
               {"pad_token_id", 1}});
}

// kv_a gets a ragged last row block, as the real 576 has, and kv_b a ragged last column block.
// Everything that is cut over ranks divides by two in whole blocks.
void ScaleToTiny(Json& config, Family family) {
  Set(config, {{"first_k_dense_replace", 1},
               {"hidden_size", 256},
               {"index_head_dim", 64},
               {"index_n_heads", 4},
               {"index_topk", 64},
               {"intermediate_size", 512},
               {"kv_lora_rank", 160},
               {"moe_intermediate_size", 256},
               {"n_routed_experts", 16},
               {"num_attention_heads", 8},
               {"num_experts_per_tok", 4},
               {"num_hidden_layers", 3},
               {"num_key_value_heads", 8},
               {"qk_nope_head_dim", 64},
               {"qk_rope_head_dim", 32},
               {"v_head_dim", family == Family::kGlm5 ? 128 : 64},
               {"qk_head_dim", 96},
               {"head_dim", 32}});
  if (!config["q_lora_rank"].is_null()) config["q_lora_rank"] = 256;
  if (config["n_group"] != 1) Set(config, {{"n_group", 4}, {"topk_group", 2}});
  UseSmallVocabulary(config, 640);
}

void ScaleToSmall(Json& config) {
  Set(config, {{"hidden_size", 1024},
               {"index_n_heads", 8},
               {"index_topk", 256},
               {"intermediate_size", 4096},
               {"kv_lora_rank", 256},
               {"moe_intermediate_size", 512},
               {"n_routed_experts", 32},
               {"num_attention_heads", 16},
               {"num_hidden_layers", 16},
               {"num_key_value_heads", 16}});
  if (config["first_k_dense_replace"] != 1) config["first_k_dense_replace"] = 2;
  if (!config["q_lora_rank"].is_null()) config["q_lora_rank"] = 512;
  UseSmallVocabulary(config, 16384);
}

// Every width as released; 16 experts still fill the groups that the routing needs.
void CutToSlice(Json& config) {
  Set(config, {{"first_k_dense_replace", 1}, {"n_routed_experts", 16}, {"num_hidden_layers", 2}});
  UseSmallVocabulary(config, 4096);
}

// GLM lists by name what it did not convert; DeepSeek's loaders know it.
Json UnconvertedModules(const ModelSpec& spec) {
  Json names = Json::array();
  spec.ForEach([&](const TensorRole& role) {
    if (role.part != Part::kWeight || Contains(ModuleSet::kFp8Linears, role)) return;
    const std::string name = spec.NameOf(role);
    names.push_back(name.substr(0, name.rfind('.')));
  });
  return names;
}

Json QuantizationConfig(Family family, const Json& config) {
  Json quantization = Parsed(R"({"activation_scheme": "dynamic", "fmt": "e4m3"})");
  if (family == Family::kGlm5) {
    const Result<ModelSpec> spec = ModelSpec::FromConfig(config);
    TESSERA_CHECK(spec.has_value());
    quantization["modules_to_not_convert"] = UnconvertedModules(*spec);
  }
  quantization["quant_method"] = "fp8";
  if (family == Family::kV31 || family == Family::kV32) quantization["scale_fmt"] = "ue8m0";
  quantization["weight_block_size"] = Json::array({128, 128});
  return quantization;
}

}  // namespace

SynthFormat ReleasedFormat(Family family) {
  const bool bf16 = family == Family::kV2 || family == Family::kV2Lite ||
                    family == Family::kMoonlight || family == Family::kGlm5;
  return bf16 ? SynthFormat::kBf16 : SynthFormat::kFp8;
}

std::string SynthConfigText(const SynthRequest& request, SynthFormat format) {
  if (request.preset == SynthPreset::kDeepSeekV3 && request.family == Family::kV3) {
    return std::string(kReleasedV3Config);
  }
  Json config = ReleasedConfig(request.family);
  if (request.preset == SynthPreset::kTiny) ScaleToTiny(config, request.family);
  if (request.preset == SynthPreset::kSmall) ScaleToSmall(config);
  if (request.preset == SynthPreset::kV3Slice) CutToSlice(config);
  if (request.family == Family::kV31) config["transformers_version"] = "4.44.2";
  if (format == SynthFormat::kBf16) {
    config.erase("quantization_config");
  } else {
    config["quantization_config"] = QuantizationConfig(request.family, config);
  }
  return RenderJson(config);
}

}  // namespace tessera
