#include "quant/quant_args.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "quant/config_fields.h"
#include "quant/quant_args_readers.h"

namespace tessera {
namespace {

constexpr const char* kField = "quantization_config";
constexpr const char* kFile = "config.json";

Result<void> ReadFp8(const ConfigFields& config, QuantArgs& args) {
  TESSERA_TRY(config.OneOf("fmt", {"e4m3"}));
  TESSERA_TRY(config.OneOf("activation_scheme", {"dynamic"}));
  TESSERA_ASSIGN(args.ue8m0, config.OneOf("scale_fmt", {"ue8m0"}));
  if (config.Find("weight_block_size") == nullptr) {
    return Fail(
        Error(ErrorCode::kUnsupported, config.PathOf("weight_block_size") +
                                           " is missing: scales per tensor are not supported")
            .In(config.file())
            .Expected("two positive integers, as [128, 128]")
            .Found("none"));
  }
  TESSERA_TRY(ReadBlockSize(config, "weight_block_size", args));
  TESSERA_TRY(config.Names("modules_to_not_convert", args.not_converted));
  return config.Names("ignored_layers", args.not_converted);
}

Result<void> ReadInt8Block(const ConfigFields& config, QuantArgs& args) {
  TESSERA_TRY(config.OnlyKnown({"quant_method", "activation_scheme", "weight_block_size",
                                "ignored_layers", "modules_to_not_convert"}));
  TESSERA_TRY(config.OneOf("activation_scheme", {"dynamic"}));
  TESSERA_TRY(ReadBlockSize(config, "weight_block_size", args));
  TESSERA_TRY(config.Names("ignored_layers", args.not_converted));
  return config.Names("modules_to_not_convert", args.not_converted);
}

Result<void> ReadInt8Channel(const ConfigFields& config, QuantArgs& args) {
  TESSERA_TRY(
      config.OnlyKnown({"quant_method", "activation_scheme", "ignore", "packed_modules_mapping"}));
  TESSERA_TRY(config.OneOf("activation_scheme", {"dynamic"}));
  return config.Names("ignore", args.not_converted);
}

// SGLang reads nothing but the method; group and blocks are always 128.
Result<void> ReadInt4Fp8(const ConfigFields& config, QuantArgs& args) {
  TESSERA_TRY(config.OnlyKnown(
      {"quant_method", "activation_scheme", "weight_block_size", "group_size", "ignored_layers"}));
  TESSERA_ASSIGN(const std::optional<int64_t> group, config.Integer("group_size"));
  if (group.value_or(128) != 128) return Fail(config.Unsupported("group_size", "128"));
  if (config.Find("weight_block_size") != nullptr) {
    TESSERA_TRY(ReadBlockSize(config, "weight_block_size", args));
    if (args.block_rows != 128 || args.block_cols != 128) {
      return Fail(config.Unsupported("weight_block_size", "[128, 128]"));
    }
  }
  return config.Names("ignored_layers", args.not_converted);
}

// Under either of two names.
std::string_view Spelled(const ConfigFields& config, std::string_view name,
                         std::string_view other) {
  return config.Find(name) == nullptr && config.Find(other) != nullptr ? other : name;
}

Result<uint32_t> ReadBits(const ConfigFields& config, std::string_view key, bool eight) {
  TESSERA_ASSIGN(const std::optional<int64_t> bits, config.Integer(key));
  const char* supported = eight ? "4 or 8" : "4";
  if (!bits) return Fail(config.Malformed(key, supported));
  if (*bits != 4 && !(eight && *bits == 8)) return Fail(config.Unsupported(key, supported));
  return static_cast<uint32_t>(*bits);
}

Result<void> ReadAwq(const ConfigFields& config, QuantArgs& args) {
  // Beside what says how to decode, what AutoAWQ and transformers write for their own use.
  TESSERA_TRY(
      config.OnlyKnown({"quant_method", "bits", "w_bit", "group_size", "q_group_size", "zero_point",
                        "version", "modules_to_not_convert", "backend", "do_fuse",
                        "modules_to_fuse", "fuse_max_seq_len", "exllama_config"}));
  QuantGroup group{.layout = WeightLayout::kAwq};
  TESSERA_ASSIGN(group.bits, ReadBits(config, Spelled(config, "bits", "w_bit"), false));
  TESSERA_ASSIGN(group.group_size,
                 ReadGroupSize(config, Spelled(config, "group_size", "q_group_size")));
  if (config.Find("zero_point") == nullptr) return Fail(config.Malformed("zero_point", "true"));
  TESSERA_TRY(config.OnlyFlag("zero_point", true));
  group.symmetric = false;
  TESSERA_TRY(config.OneOf("version", {"gemm", "GEMM"}));
  TESSERA_TRY(config.Names("modules_to_not_convert", args.not_converted));
  args.groups.push_back(std::move(group));
  return {};
}

// The fields that decoding depends on; of a rule of `dynamic` those that differ.
Result<void> ReadGptqGeometry(const ConfigFields& config, bool is_rule, QuantGroup& group) {
  if (!is_rule || config.Find("bits") != nullptr) {
    TESSERA_ASSIGN(group.bits, ReadBits(config, "bits", true));
  }
  if (!is_rule || config.Find("group_size") != nullptr) {
    TESSERA_ASSIGN(group.group_size, ReadGroupSize(config, "group_size"));
  }
  for (const char* key : {"sym", "desc_act"}) {
    if (!is_rule && config.Find(key) == nullptr) {
      return Fail(config.Malformed(key, "true or false: writers differ in what they mean by none"));
    }
  }
  TESSERA_ASSIGN(const std::optional<bool> symmetric, config.Flag("sym"));
  group.symmetric = symmetric.value_or(group.symmetric);
  return config.OnlyFlag("desc_act", false);
}

// Writers add fields of their own to these (how they calibrated, what they are called), so that
// only fields that decoding depends on are judged.
Result<void> ReadGptq(const ConfigFields& config, QuantArgs& args) {
  QuantGroup group{.layout = WeightLayout::kGptq};
  TESSERA_TRY(ReadGptqGeometry(config, false, group));
  const std::string_view format = Spelled(config, "checkpoint_format", "format");
  TESSERA_TRY(config.OneOf(format, {"gptq", "gptq_v2"}));
  group.zeros_as_stored = config.Find(format) != nullptr && *config.Find(format) == "gptq_v2";
  TESSERA_TRY(config.OneOf("pack_dtype", {"int32"}));
  TESSERA_TRY(config.OnlyFlag("is_marlin_format", false));
  args.groups.push_back(group);
  if (config.Find("dynamic") == nullptr || *config.Find("dynamic") == false) return {};
  TESSERA_ASSIGN(const ConfigFields rules, config.Object("dynamic"));
  for (const auto& [pattern, value] : config.Find("dynamic")->items()) {
    if (pattern.starts_with("-:")) {
      args.not_converted.push_back(pattern);
      continue;
    }
    TESSERA_ASSIGN(const ConfigFields rule, rules.Object(pattern));
    QuantGroup other = group;
    TESSERA_TRY(ReadGptqGeometry(rule, true, other));
    other.targets = {pattern};
    args.groups.push_back(std::move(other));
  }
  return {};
}

struct Method {
  QuantMethod method;
  std::string_view name;
  Result<void> (*read)(const ConfigFields&, QuantArgs&);  // null: not said by quant_method
};
constexpr Method kMethods[] = {
    {QuantMethod::kNone, "none", nullptr},
    {QuantMethod::kFp8Block, "fp8", ReadFp8},
    {QuantMethod::kCompressedTensors, "compressed-tensors", ReadCompressedTensors},
    {QuantMethod::kAwq, "awq", ReadAwq},
    {QuantMethod::kGptq, "gptq", ReadGptq},
    {QuantMethod::kInt8Block, "blockwise_int8", ReadInt8Block},
    {QuantMethod::kInt8Channel, "w8a8_int8", ReadInt8Channel},
    {QuantMethod::kInt4Fp8, "w4afp8", ReadInt4Fp8},
    {QuantMethod::kAscend, "ascend", nullptr},
};

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

std::string KnownMethods() {
  std::string list;
  for (const Method& method : kMethods) {
    if (method.read != nullptr) list += (list.empty() ? "" : ", ") + QuoteJson(method.name);
  }
  return list;
}

}  // namespace

std::string_view Name(QuantMethod method) {
  return std::ranges::find(kMethods, method, &Method::method)->name;
}

Result<void> ReadBlockSize(const ConfigFields& config, std::string_view key, QuantArgs& args) {
  const Json* field = config.Find(key);
  const auto is_size = [](const Json& n) {
    return n.is_number_unsigned() && n.get<uint64_t>() > 0 &&
           n.get<uint64_t>() <= std::numeric_limits<uint32_t>::max();
  };
  if (field == nullptr || !field->is_array() || field->size() != 2 || !is_size((*field)[0]) ||
      !is_size((*field)[1])) {
    return Fail(config.Malformed(key, "two positive integers, as [128, 128]"));
  }
  args.block_rows = (*field)[0].get<uint32_t>();
  args.block_cols = (*field)[1].get<uint32_t>();
  return {};
}

Result<uint32_t> ReadGroupSize(const ConfigFields& config, std::string_view key) {
  constexpr int64_t kMax = 1 << 20;
  TESSERA_ASSIGN(const std::optional<int64_t> size, config.Integer(key));
  if (!size || *size == 0 || *size < -1 || *size > kMax) {
    return Fail(config.Malformed(key, "columns that share a scale, or -1 for a whole row"));
  }
  return *size == -1 ? 0 : static_cast<uint32_t>(*size);
}

Result<QuantArgs> QuantArgs::FromConfig(const Json& config) {
  QuantArgs args;
  const Json* found = FindQuantization(config);
  if (found == nullptr) return args;
  TESSERA_ASSIGN(const ConfigFields fields, ConfigFields::Of(*found, kField, kFile));
  TESSERA_ASSIGN(const std::optional<std::string> name, fields.Text("quant_method"));
  if (!name) return Fail(fields.Malformed("quant_method", "one of " + KnownMethods()));
  for (const Method& method : kMethods) {
    if (method.read == nullptr || method.name != *name) continue;
    args.method = method.method;
    TESSERA_TRY(method.read(fields, args));
    return args;
  }
  return Fail(fields.Unsupported("quant_method", "one of " + KnownMethods()));
}

std::vector<QuantGroup> QuantArgs::Layouts() const {
  using enum WeightLayout;
  switch (method) {
    case QuantMethod::kNone:
      return {};
    case QuantMethod::kFp8Block:
      return {{.layout = kFp8Block}};
    case QuantMethod::kInt8Block:
      return {{.layout = kInt8Block}};
    case QuantMethod::kInt8Channel:
      return {{.layout = kInt8Channel}};
    case QuantMethod::kInt4Fp8:
      return {{.layout = kInt4Bytes, .bits = 4, .group_size = 128}, {.layout = kFp8Block}};
    case QuantMethod::kAscend:
      return {{.layout = kInt8Offset}};
    case QuantMethod::kCompressedTensors:
    case QuantMethod::kAwq:
    case QuantMethod::kGptq:
      break;
  }
  return groups;
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
