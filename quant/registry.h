// The ways to requantize a model, by name: what `tessera schemes` lists. A new one is a row of the
// table in registry.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "quant/int_format.h"
#include "quant/module_set.h"
#include "quant/scheme.h"

namespace tessera {

std::string_view Name(Search search);  // "absmax", "mse", "mse-signed"

struct SchemeArgs {
  Search search = Search::kMse;
  float input_scale = 0;  // of activations, where the scheme stores one
};

struct SchemeRow {
  std::string_view name;
  std::string_view on_disk;  // what a person reads in `tessera schemes`
  std::string_view engines;  // the first one is the scheme's own
  ModuleSet modules;         // by default
  bool rest_stays_fp8;       // linears that it does not reach; else they become BF16
  bool needs_input_scale;
  std::unique_ptr<Scheme> (*make)(const SchemeArgs&);
};

std::span<const SchemeRow> Schemes();
const SchemeRow* FindScheme(std::string_view name);  // nullptr: there is none

}  // namespace tessera
