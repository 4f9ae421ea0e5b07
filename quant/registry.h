// The ways to requantize a model, by name: what `tessera schemes` lists. A new one is a row of the
// table in registry.cc.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "quant/int_format.h"
#include "quant/module_set.h"
#include "quant/scheme.h"

namespace tessera {

std::string_view Name(Search search);  // "absmax", "mse", "mse-signed"

struct SchemeArgs {
  Search search = Search::kMse;
  std::optional<float> input_scale;  // of activations, where the scheme stores one
  IntFormat like;                    // of a repacked weight: what it is now
  bool bf16_scales = false;          // of a repacked weight, where the target stores several types
};

inline constexpr double kGainAllowance = 0.01;
inline constexpr double kPlaceAllowance = 6;

struct SchemeRow {
  std::string_view name;
  std::string_view engine_name;  // of all geometries alike: what engines and configs are told by
  uint64_t group;                // columns a scale; 0: a whole row
  std::string_view on_disk;      // what a person reads in `tessera schemes`
  ModuleSet modules;             // by default
  // nullptr where a repacked weight has no counterpart.
  std::unique_ptr<Scheme> (*make)(const SchemeArgs&);
  // How many dB the noise of a weight may lie above what its scales predict: what normal to
  // Student-t3 weights of 128 to 18432 columns need, and a little. A searched scale clips on
  // purpose.
  struct Allowance {
    double absmax = 0, search = 0;
    // How far the gain of absmax may be off what rounding to nearest explains.
    double absmax_gain = kGainAllowance;
    // How many dB more a row or group may have. Where rows share a scale that clips, one of them
    // bears what all gain.
    double place = kPlaceAllowance;
  } allowance = {};
  bool rest_stays_fp8 = false;  // linears that it does not reach; else they become BF16
  bool needs_input_scale = false;
  bool repacks = false;  // integers as they are, in another layout
};

std::span<const SchemeRow> Schemes();
const SchemeRow* FindScheme(std::string_view name);  // nullptr: there is none

}  // namespace tessera
