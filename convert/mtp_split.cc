#include "convert/mtp_split.h"

#include <algorithm>
#include <vector>

#include "formats/demo_config.h"
#include "formats/json.h"
#include "formats/shard_name.h"

namespace tessera {
namespace {

// What SGLang's exporter of drafts calls its one file.
constexpr const char* kSglangFile = "nextn_layer_parameters.safetensors";

// As SGLang's exporter leaves it: a model of one layer, keys sorted.
Json SglangConfig(const Json& config) {
  std::vector<std::pair<std::string, Json>> fields;
  for (const auto& [key, value] : config.items()) fields.emplace_back(key, value);
  std::ranges::sort(fields, {}, &std::pair<std::string, Json>::first);
  Json sorted = Json::object();
  for (auto& [key, value] : fields) sorted[key] = std::move(value);
  sorted["architectures"] = Json::array({"DeepseekV3ForCausalLMNextN"});
  sorted["num_hidden_layers"] = 1;
  return sorted;
}

Result<void> CheckSglang(const Source& source) {
  const auto refuse = [&](std::string what) {
    return Error(ErrorCode::kUnsupported, std::move(what)).In(source.checkpoint->dir().string());
  };
  const uint32_t layers = source.spec->num_nextn_predict_layers;
  if (layers != 1) {
    return Fail(refuse("SGLang loads drafts of exactly one MTP layer")
                    .Expected("num_nextn_predict_layers 1")
                    .Found(std::to_string(layers))
                    .Next("leave out --for: the module then keeps its own names"));
  }
  if (source.spec->family() == Family::kGlm5) {
    return Fail(refuse("SGLang's exported drafts are of DeepSeek's architecture")
                    .Expected("model_type deepseek_v3 or deepseek_v32")
                    .Found(source.spec->model_type())
                    .Next("leave out --for: the module then keeps its own names"));
  }
  return {};
}

}  // namespace

Result<void> CheckSplit(const Source& source, ModuleFor engine) {
  const std::string dir = source.checkpoint->dir().string();
  if (source.coverage == Coverage::kMtpOnly) {
    return Fail(Error(ErrorCode::kUnsupported,
                      "this checkpoint is an MTP module alone: there is nothing to split it from")
                    .In(dir));
  }
  if (source.spec->num_nextn_predict_layers == 0) {
    return Fail(Error(ErrorCode::kUnsupported, "this checkpoint has no MTP module to split off")
                    .In(dir)
                    .Expected("num_nextn_predict_layers of at least 1 in config.json, and the "
                              "layers behind the last one"));
  }
  return engine == ModuleFor::kSglang ? CheckSglang(source) : Result<void>();
}

std::string_view RuleOfModule(const TensorRole& role, ModuleFor engine) {
  const bool copy = role.module == Module::kMtpEmbedTokens || role.module == Module::kMtpHead;
  // SGLang takes both from the model that the draft is for.
  return copy && engine == ModuleFor::kSglang ? "sglang-shared" : "";
}

std::string NameInModule(const ModelSpec& spec, const TensorRole& role, ModuleFor engine) {
  switch (engine) {
    case ModuleFor::kSglang: {
      const std::string own = "model.layers." + std::to_string(role.layer) + ".";
      const std::string name = spec.NameOf(role);
      TESSERA_CHECK(name.starts_with(own));
      return "model.layers.0." + name.substr(own.size());
    }
    case ModuleFor::kDeepSeek:
      return spec.NameOf(role, NameStyle::kDeepSeek);
    default:
      // vLLM, too, looks for the layers behind the last one, under their own numbers.
      return spec.NameOf(role);
  }
}

Result<PlanFolder> ModuleFolder(const Source& source, ModuleFor engine) {
  PlanFolder folder;
  if (engine == ModuleFor::kDeepSeek) {
    const bool fp8 = source.quant.method != QuantMethod::kNone;
    TESSERA_ASSIGN(const Json config,
                   DemoConfig(source.config, *source.spec, fp8, source.quant.ue8m0));
    folder.config = RenderJson(config);
  } else {
    folder.config =
        RenderJson(engine == ModuleFor::kSglang ? SglangConfig(source.config) : source.config);
    folder.index_name = kIndexName;
    folder.index_total = engine != ModuleFor::kSglang;
  }
  for (const std::string& name : source.checkpoint->side_files()) {
    // The exporter copies no sub-folders, the demo reads a tokenizer and nothing else.
    const bool wanted = engine == ModuleFor::kSglang     ? name.find('/') == std::string::npos
                        : engine == ModuleFor::kDeepSeek ? name.find("token") != std::string::npos
                                                         : true;
    if (wanted) folder.side_files.push_back(name);
  }
  return folder;
}

Result<OutputLayout> LayOutSplit(std::span<const UnplacedTensor> tensors,
                                 std::span<const Shard> shards, uint64_t shard_size,
                                 ModuleFor engine) {
  OutputLayout both;
  both.placed.resize(tensors.size());
  for (uint32_t folder = 0; folder < 2; ++folder) {
    const bool one_file =
        folder == 1 && (engine == ModuleFor::kSglang || engine == ModuleFor::kDeepSeek);
    std::vector<UnplacedTensor> here;
    std::vector<size_t> whence;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].folder != folder) continue;
      here.push_back(tensors[i]);
      if (one_file) here.back().home = 0;
      whence.push_back(i);
    }
    const std::string name = engine == ModuleFor::kSglang ? kSglangFile : ToString(RankShardName{});
    TESSERA_ASSIGN(OutputLayout layout,
                   one_file ? LayOutAsSaved(here, {name})
                            : LayOut(here, shards, shard_size, SafetensorsContainer()));
    for (size_t i = 0; i < here.size(); ++i) {
      both.placed[whence[i]] = static_cast<uint32_t>(both.tensors.size()) + layout.placed[i];
    }
    const auto first_file = static_cast<uint32_t>(both.files.size());
    for (PlanFile& file : layout.files) {
      file.folder = folder;
      both.files.push_back(std::move(file));
    }
    for (PlanTensor& tensor : layout.tensors) {
      tensor.file += first_file;
      both.tensors.push_back(std::move(tensor));
    }
  }
  return both;
}

}  // namespace tessera
