// What lies beside config.json and says how weights are stored: ModelOpt's and TensorRT-LLM's
// hf_quant_config.json with quant_cfg.json, msModelSlim's quant_model_description.json.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "formats/file.h"
#include "quant/config_fields.h"
#include "quant/quant_args.h"

namespace tessera {
namespace {

constexpr std::string_view kModelOpt = "hf_quant_config.json";
constexpr std::string_view kLayers = "quant_cfg.json";
constexpr std::string_view kDescription = "quant_model_description";  // and what follows, .json

// An entry a tensor: V3 in INT8 has some 180,000 of them.
constexpr uint64_t kMaxDescriptionBytes = uint64_t{256} << 20;

bool IsDescription(std::string_view file) {
  return file.starts_with(kDescription) && file.ends_with(".json") &&
         file.find('/') == std::string_view::npos;
}

// Reads {"TENSOR": "TYPE", ..., other fields}: a tensor's name has a dot, a field's has none.
class DescriptionEvents final : public JsonEvents {
 public:
  bool OnObject() override { return ++depth_, true; }
  bool OnObjectEnd() override { return --depth_, true; }
  bool OnArray() override { return ++depth_, true; }
  bool OnArrayEnd() override { return --depth_, true; }
  bool OnKey(std::string&& key) override {
    if (depth_ == 1) key_ = std::move(key);
    return true;
  }
  bool OnString(std::string&& text) override {
    if (depth_ != 1 || !key_.contains('.')) return true;
    constexpr std::string_view kDecodable[] = {"FLOAT", "W8A8_DYNAMIC", "W8A16"};
    if (std::ranges::find(kDecodable, text) != std::end(kDecodable)) return true;
    unsupported = {key_, std::move(text)};
    return false;
  }
  bool OnUnsigned(uint64_t) override { return true; }
  bool OnOther(std::string_view) override { return true; }

  std::pair<std::string, std::string> unsupported;  // a tensor and its type

 private:
  int depth_ = 0;
  std::string key_;
};

Result<void> CheckDescription(const std::filesystem::path& path) {
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(path, kMaxDescriptionBytes));
  DescriptionEvents events;
  const Result<bool> parsed = ParseJsonEvents(text, events);
  if (!parsed) return Fail(Error(parsed.error()).Within(path.string()));
  if (*parsed) return {};
  return Fail(Error(ErrorCode::kUnsupported,
                    events.unsupported.first + " is of a type that cannot be decoded")
                  .Of(events.unsupported.first)
                  .In(path.string())
                  .Expected("FLOAT, W8A8_DYNAMIC or W8A16")
                  .Found(events.unsupported.second));
}

Result<void> CheckLayers(const ConfigFields& config) {
  if (config.Find("quantized_layers") == nullptr) return {};
  TESSERA_ASSIGN(const ConfigFields layers, config.Object("quantized_layers"));
  for (const auto& [name, value] : config.Find("quantized_layers")->items()) {
    TESSERA_ASSIGN(const ConfigFields layer, layers.Object(name));
    TESSERA_TRY(layer.OneOf("quant_algo", {"FP8_BLOCK_SCALES", "W4A8_AWQ"}));
  }
  return {};
}

// The one mixture that is known: experts in INT4, all other linears in block FP8.
Result<QuantArgs> ReadModelOpt(const Checkpoint& checkpoint) {
  const std::string path = (checkpoint.dir() / kModelOpt).string();
  TESSERA_ASSIGN(const Json json, ReadJsonFile(path));
  TESSERA_ASSIGN(const ConfigFields top, ConfigFields::Of(json, "the whole", path));
  TESSERA_ASSIGN(const ConfigFields config, top.Object("quantization"));
  QuantArgs args;
  TESSERA_ASSIGN(const bool mixed, config.OneOf("quant_algo", {"MIXED_PRECISION"}));
  if (!mixed) return args;
  args.method = QuantMethod::kInt4Fp8;
  TESSERA_TRY(CheckLayers(config));
  TESSERA_TRY(config.Names("exclude_modules", args.not_converted));
  if (std::ranges::binary_search(checkpoint.side_files(), kLayers)) {
    const std::string layers_path = (checkpoint.dir() / kLayers).string();
    TESSERA_ASSIGN(const Json layers, ReadJsonFile(layers_path));
    TESSERA_ASSIGN(const ConfigFields fields, ConfigFields::Of(layers, "the whole", layers_path));
    TESSERA_TRY(CheckLayers(fields));
  }
  return args;
}

}  // namespace

bool DescribesQuantization(std::string_view side_file) {
  return side_file == kModelOpt || side_file == kLayers || IsDescription(side_file);
}

Result<QuantArgs> QuantArgs::Of(const Checkpoint& checkpoint, const Json& config) {
  TESSERA_ASSIGN(QuantArgs args, FromConfig(config));
  const auto files = checkpoint.side_files();
  const auto description = std::ranges::find_if(files, IsDescription);
  if (description != files.end()) {
    if (args.method != QuantMethod::kNone) {
      return Fail(Error(ErrorCode::kBadConfig,
                        "two files say how the weights are quantized, each in its own way")
                      .In(checkpoint.dir().string())
                      .Expected("either " + *description + " or quantization_config in config.json")
                      .Found("both"));
    }
    TESSERA_TRY(CheckDescription(checkpoint.dir() / *description));
    args.method = QuantMethod::kAscend;
  } else if (args.method == QuantMethod::kNone && std::ranges::binary_search(files, kModelOpt)) {
    return ReadModelOpt(checkpoint);
  }
  return args;
}

}  // namespace tessera
