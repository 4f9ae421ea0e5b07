#include "quant/quant_args.h"

#include <limits>

namespace tessera {
namespace {

constexpr const char* kField = "quantization_config";

std::string FieldName(const char* key) { return std::string(kField) + "." + key; }

Error BadField(const char* key, const Json& value, std::string expected) {
  return Error(ErrorCode::kBadConfig, FieldName(key) + " is malformed")
      .Expected(std::move(expected))
      .Found(value.dump())
      .Within("config.json");
}

// A field that may be absent or null, and else must be the one string that is supported.
Result<bool> HasText(const Json& config, const char* key, std::string_view supported) {
  const auto field = config.find(key);
  if (field == config.end() || field->is_null()) return false;
  if (!field->is_string()) return Fail(BadField(key, *field, "a string"));
  if (field->get_ref<const std::string&>() == supported) return true;
  return Fail(Error(ErrorCode::kUnsupported, FieldName(key) + " is not supported")
                  .In("config.json")
                  .Expected(QuoteJson(supported))
                  .Found(field->dump()));
}

Result<void> ReadBlockSize(const Json& config, QuantArgs& args) {
  constexpr const char* kKey = "weight_block_size";
  const auto field = config.find(kKey);
  if (field == config.end() || field->is_null()) {
    return Fail(
        Error(ErrorCode::kUnsupported,
              FieldName(kKey) + " is missing: scales per tensor or channel are not supported")
            .In("config.json")
            .Expected("two positive integers, as [128, 128]")
            .Found("none"));
  }
  const auto is_size = [](const Json& n) {
    return n.is_number_unsigned() && n.get<uint64_t>() > 0 &&
           n.get<uint64_t>() <= std::numeric_limits<uint32_t>::max();
  };
  if (!field->is_array() || field->size() != 2 || !is_size((*field)[0]) || !is_size((*field)[1])) {
    return Fail(BadField(kKey, *field, "two positive integers, as [128, 128]"));
  }
  args.block_rows = (*field)[0].get<uint32_t>();
  args.block_cols = (*field)[1].get<uint32_t>();
  return {};
}

Result<void> ReadNames(const Json& config, const char* key, std::vector<std::string>& names) {
  const auto field = config.find(key);
  if (field == config.end() || field->is_null()) return {};
  if (!field->is_array()) return Fail(BadField(key, *field, "a list of names"));
  for (const Json& name : *field) {
    if (!name.is_string()) return Fail(BadField(key, name, "a name in every place of the list"));
    names.push_back(name.get<std::string>());
  }
  return {};
}

// Where a multimodal model wraps its language model, the field lies one level deeper.
const Json* FindQuantization(const Json& config) {
  for (const Json* where :
       {&config, config.is_object() && config.contains("text_config") ? &config.at("text_config")
                                                                      : nullptr}) {
    if (where == nullptr || !where->is_object()) continue;
    const auto field = where->find(kField);
    if (field != where->end() && !field->is_null()) return &*field;
  }
  return nullptr;
}

}  // namespace

Result<QuantArgs> QuantArgs::FromConfig(const Json& config) {
  QuantArgs args;
  const Json* found = FindQuantization(config);
  if (found == nullptr) return args;
  if (!found->is_object()) {
    return Fail(Error(ErrorCode::kBadConfig, std::string(kField) + " is malformed")
                    .In("config.json")
                    .Expected("an object")
                    .Found(found->dump()));
  }
  TESSERA_ASSIGN(const bool is_fp8, HasText(*found, "quant_method", "fp8"));
  if (!is_fp8) {
    return Fail(Error(ErrorCode::kBadConfig, FieldName("quant_method") + " is missing")
                    .In("config.json")
                    .Expected("\"fp8\""));
  }
  TESSERA_TRY(HasText(*found, "fmt", "e4m3"));
  TESSERA_TRY(HasText(*found, "activation_scheme", "dynamic"));
  TESSERA_ASSIGN(args.ue8m0, HasText(*found, "scale_fmt", "ue8m0"));
  TESSERA_TRY(ReadBlockSize(*found, args));
  TESSERA_TRY(ReadNames(*found, "modules_to_not_convert", args.not_converted));
  TESSERA_TRY(ReadNames(*found, "ignored_layers", args.not_converted));
  args.method = QuantMethod::kFp8Block;
  return args;
}

Json QuantArgs::ToConfig() const {
  TESSERA_CHECK(method == QuantMethod::kFp8Block);
  Json config;
  config["activation_scheme"] = "dynamic";
  config["fmt"] = "e4m3";
  if (!not_converted.empty()) config["modules_to_not_convert"] = not_converted;
  config["quant_method"] = "fp8";
  if (ue8m0) config["scale_fmt"] = "ue8m0";
  config["weight_block_size"] = {block_rows, block_cols};
  return config;
}

}  // namespace tessera
