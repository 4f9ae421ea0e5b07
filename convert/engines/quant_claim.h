// What a checkpoint says about its quantization, read leniently: an engine's verdict is wanted also
// where we could not decode the weights.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"

namespace tessera {

// A config group of compressed-tensors.
struct GroupClaim {
  std::vector<std::string> targets;
  std::string format;  // "" where it is the config's
  std::optional<int64_t> bits, group_size;
  bool names_group_size = false;
  std::string type, strategy;
  bool symmetric = true;
  bool quantizes_inputs = false, dynamic_inputs = false;
  std::string input_strategy, input_type, actorder;
  bool names_block = false;               // block_structure of the weights
  std::vector<std::string> unknown_keys;  // of weights and activations
  std::string newer_key;                  // one that only later readers know
};

struct QuantClaim {
  std::string origin;  // the file that says it; "" if none does
  std::string method;  // quant_method as spelled there, of ModelOpt's file quant_algo
  Json object;         // all of it

  std::vector<GroupClaim> groups;  // compressed-tensors
  std::string format;              // compressed-tensors: the global one
  std::optional<int64_t> bits, group_size;
  std::optional<bool> symmetric, zero_point, desc_act;
  std::string checkpoint_format;         // GPTQ
  std::string version;                   // AWQ: "gemm", "gemv"
  std::vector<std::string> dynamic;      // GPTQ: the keys
  std::vector<std::string> unquantized;  // the list, whatever it is called
  bool has_list = false;
  std::vector<int64_t> block;  // weight_block_size
  std::string activation_scheme, scale_fmt;

  // `modelopt` is hf_quant_config.json, which counts where config.json says nothing.
  static QuantClaim Read(const Json& config, const std::optional<Json>& modelopt = std::nullopt);
  // The group whose targets name a class of modules or, as patterns or names, one of these.
  const GroupClaim* GroupFor(const std::vector<std::string>& modules) const;
  bool Is(std::string_view name) const { return method == name; }
  // "compressed-tensors pack-quantized, 4 bits, group 32"
  std::string Describe() const;
  // How a group's weights are stored, as readers take it that look at the group first.
  const std::string& FormatOf(const GroupClaim& group) const {
    return group.format.empty() ? format : group.format;
  }
};

}  // namespace tessera
