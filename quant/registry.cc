#include "quant/registry.h"

#include <algorithm>

namespace tessera {
namespace {

std::unique_ptr<Scheme> Fp8Block(const SchemeArgs&) { return MakeFp8BlockScheme({}); }
std::unique_ptr<Scheme> Fp8BlockUe8m0(const SchemeArgs&) {
  return MakeFp8BlockScheme({.scale_format = ScaleFormat::kUe8m0});
}

constexpr SchemeRow kSchemes[] = {
    {"fp8-block", "DeepSeek FP8: 128x128 blocks, F32 scales", "all", ModuleSet::kFp8Linears, false,
     false, Fp8Block},
    {"fp8-block-ue8m0", "the same with scales that are powers of two", "all",
     ModuleSet::kFp8Linears, false, false, Fp8BlockUe8m0},
};

}  // namespace

std::string_view Name(Search search) {
  switch (search) {
    case Search::kAbsMax:
      return "absmax";
    case Search::kMse:
      return "mse";
    case Search::kMseSigned:
      return "mse-signed";
  }
  return "";
}

std::span<const SchemeRow> Schemes() { return kSchemes; }

const SchemeRow* FindScheme(std::string_view name) {
  const auto row = std::ranges::find(kSchemes, name, &SchemeRow::name);
  return row == std::end(kSchemes) ? nullptr : &*row;
}

}  // namespace tessera
