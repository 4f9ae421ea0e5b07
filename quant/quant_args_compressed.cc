// quantization_config of compressed-tensors: groups of modules, each with its own way of storage.
#include <algorithm>
#include <optional>
#include <string>

#include "quant/quant_args_readers.h"

namespace tessera {
namespace {

// What `weights` of a group says, before it is known whether such weights can be decoded.
struct WeightArgs {
  int64_t bits = 8;
  bool is_int = true;
  bool symmetric = true;
  std::string strategy;
  uint32_t group_size = 0;
};

Result<std::string> StrategyOf(const ConfigFields& weights) {
  TESSERA_TRY(weights.OneOf("strategy", {"group", "channel", "block"}));
  TESSERA_ASSIGN(const std::optional<std::string> strategy, weights.Text("strategy"));
  if (strategy) return *strategy;
  // Left out, it follows from the group size, as in the package itself.
  TESSERA_ASSIGN(const std::optional<int64_t> size, weights.Integer("group_size"));
  if (!size) return "tensor";
  return *size == -1 ? "channel" : "group";
}

Result<WeightArgs> ReadWeights(const ConfigFields& weights, QuantArgs& args) {
  TESSERA_TRY(weights.OnlyKnown({"num_bits", "type", "symmetric", "group_size", "strategy",
                                 "block_structure", "dynamic", "actorder", "scale_dtype",
                                 "zp_dtype", "observer", "observer_kwargs"}));
  WeightArgs read;
  TESSERA_ASSIGN(const std::optional<int64_t> bits, weights.Integer("num_bits"));
  read.bits = bits.value_or(8);
  TESSERA_TRY(weights.OneOf("type", {"int", "float"}));
  read.is_int = weights.Find("type") == nullptr || *weights.Find("type") == "int";
  TESSERA_ASSIGN(const std::optional<bool> symmetric, weights.Flag("symmetric"));
  read.symmetric = symmetric.value_or(true);
  TESSERA_TRY(weights.OnlyFlag("dynamic", false));
  // The others reorder columns; these only reordered the work of whoever quantized.
  if (weights.Find("actorder") != nullptr && *weights.Find("actorder") != false) {
    TESSERA_TRY(weights.OneOf("actorder", {"weight", "static"}));
  }
  TESSERA_ASSIGN(read.strategy, StrategyOf(weights));
  if (read.strategy == "group") {
    TESSERA_ASSIGN(read.group_size, ReadGroupSize(weights, "group_size"));
    if (read.group_size == 0) return Fail(weights.Malformed("group_size", "a positive integer"));
  } else {
    TESSERA_ASSIGN(const std::optional<int64_t> size, weights.Integer("group_size"));
    if (size.value_or(0) > 0) {
      return Fail(weights.Malformed("group_size", "null or -1 where the strategy is not group"));
    }
  }
  if (read.strategy == "block") {
    TESSERA_TRY(ReadBlockSize(weights, "block_structure", args));
  } else if (weights.Find("block_structure") != nullptr) {
    return Fail(weights.Malformed("block_structure", "null where the strategy is not block"));
  }
  return read;
}

// The layout that a format gives such weights.
Result<WeightLayout> LayoutOf(const ConfigFields& weights, const WeightArgs& read,
                              const std::string& format) {
  const bool packed = format == "pack-quantized";
  const bool floats = format == "float-quantized" || (format == "naive-quantized" && !read.is_int);
  if (read.is_int == floats) {
    return Fail(weights.Unsupported("type", (floats ? "float, as " : "int, as ") + format));
  }
  if (read.bits != 8 && !(packed && read.bits == 4)) {
    return Fail(weights.Unsupported("num_bits", packed ? "4 or 8" : "8"));
  }
  if (!packed && !read.symmetric) return Fail(weights.Unsupported("symmetric", "true"));
  if (read.strategy == "channel") {
    return packed   ? WeightLayout::kPacked
           : floats ? WeightLayout::kFp8Channel
                    : WeightLayout::kInt8Channel;
  }
  if (packed && read.strategy == "group") return WeightLayout::kPacked;
  if (floats && read.strategy == "block") return WeightLayout::kFp8BlockCt;
  return Fail(weights.Unsupported("strategy", packed   ? "group or channel"
                                              : floats ? "channel or block"
                                                       : "channel"));
}

Result<void> CheckFormat(const ConfigFields& where) {
  TESSERA_TRY(where.OneOf("format", {"pack-quantized", "int-quantized", "float-quantized",
                                     "naive-quantized", "mixed-precision"}));
  return {};
}

Result<void> ReadGroup(const ConfigFields& config, const ConfigFields& group, QuantArgs& args) {
  TESSERA_TRY(
      group.OnlyKnown({"targets", "weights", "input_activations", "output_activations", "format"}));
  // Activations are quantized while a model runs; what is stored does not depend on them.
  if (group.Find("weights") == nullptr) return {};
  TESSERA_ASSIGN(const ConfigFields weights, group.Object("weights"));
  const QuantArgs before = args;
  TESSERA_ASSIGN(const WeightArgs read, ReadWeights(weights, args));
  const bool blocks_known = std::ranges::any_of(
      args.groups, [](const QuantGroup& g) { return g.layout == WeightLayout::kFp8BlockCt; });
  if (blocks_known && read.strategy == "block" &&
      (args.block_rows != before.block_rows || args.block_cols != before.block_cols)) {
    return Fail(weights.Unsupported("block_structure", "the same in every group"));
  }
  const ConfigFields& says_format = group.Find("format") != nullptr ? group : config;
  TESSERA_TRY(CheckFormat(says_format));
  TESSERA_ASSIGN(const std::optional<std::string> format, says_format.Text("format"));
  if (!format || *format == "mixed-precision") {
    return Fail(group.Malformed("format", "how the weights of the group are stored"));
  }
  QuantGroup result{.bits = static_cast<uint32_t>(read.bits),
                    .symmetric = read.symmetric,
                    .group_size = read.group_size};
  TESSERA_ASSIGN(result.layout, LayoutOf(weights, read, *format));
  TESSERA_TRY(group.Names("targets", result.targets));
  args.groups.push_back(std::move(result));
  return {};
}

}  // namespace

Result<void> ReadCompressedTensors(const ConfigFields& config, QuantArgs& args) {
  // Of other fields nobody but their writer knows what they would change.
  TESSERA_TRY(config.OnlyKnown(
      {"quant_method", "format", "config_groups", "ignore", "quantization_status",
       "global_compression_ratio", "kv_cache_scheme", "sparsity_config", "transform_config",
       "moe_sparsity_config", "version", "group_size", "packed_modules_mapping"}));
  TESSERA_TRY(config.OneOf("quantization_status", {"compressed"}));
  // Weights that are stored as their nonzeros, or turned by a matrix.
  TESSERA_TRY(config.Without("sparsity_config"));
  TESSERA_TRY(config.Without("transform_config"));
  TESSERA_TRY(CheckFormat(config));
  TESSERA_TRY(config.Names("ignore", args.not_converted));
  TESSERA_ASSIGN(const ConfigFields groups, config.Object("config_groups"));
  for (const auto& [name, value] : config.Find("config_groups")->items()) {
    TESSERA_ASSIGN(const ConfigFields group, groups.Object(name));
    TESSERA_TRY(ReadGroup(config, group, args));
  }
  if (args.groups.empty()) {
    return Fail(config.Malformed("config_groups", "a group that says how weights are stored"));
  }
  return {};
}

}  // namespace tessera
