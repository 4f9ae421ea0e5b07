// Every scheme of integers, for the tests that hold for all of them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "quant/scheme_ascend_int8.h"
#include "quant/scheme_awq.h"
#include "quant/scheme_gptq.h"
#include "quant/scheme_int.h"
#include "quant/scheme_int4_fp8.h"

namespace tessera {

struct IntSchemeCase {
  std::string name;
  std::function<std::unique_ptr<IntScheme>(Search)> make;
};

inline std::vector<IntSchemeCase> IntSchemeCases() {
  const auto packed = [](int bits, uint64_t group, bool symmetric, Dtype scale = Dtype::kBF16) {
    return [=](Search search) {
      return MakeCtPackedScheme(
          {.bits = bits, .group = group, .symmetric = symmetric, .search = search, .scale = scale});
    };
  };
  return {
      {"w4a16-g128", packed(4, 128, true)},
      {"w4a16-g32", packed(4, 32, true)},
      {"w4a16-channel", packed(4, 0, true)},
      {"w4a16-asym", packed(4, 128, false)},
      {"w4a16-f16", packed(4, 64, true, Dtype::kF16)},
      {"w8a16-channel", packed(8, 0, true)},
      {"w8a16-g128", packed(8, 128, true)},
      {"w8a16-asym", packed(8, 64, false)},
      {"w8a8", [](Search search) { return MakeCtInt8Scheme(search); }},
      {"w8a8-bf16", [](Search search) { return MakeCtInt8Scheme(search, Dtype::kBF16); }},
      {"int8-channel", MakeInt8ChannelScheme},
      {"int8-block", [](Search search) { return MakeInt8BlockScheme(search); }},
      {"int8-block-8x48", [](Search search) { return MakeInt8BlockScheme(search, 8, 48); }},
      {"awq", [](Search search) { return MakeAwqScheme({.search = search}); }},
      {"awq-g32", [](Search search) { return MakeAwqScheme({.group = 32, .search = search}); }},
      {"gptq4", [](Search search) { return MakeGptqScheme({.bits = 4, .search = search}); }},
      {"gptq8", [](Search search) { return MakeGptqScheme({.bits = 8, .search = search}); }},
      {"int4-fp8",
       [](Search search) { return MakeInt4Fp8Scheme({.search = search, .input_scale = 0.01f}); }},
      {"ascend-int8", MakeAscendInt8Scheme}};
}

inline const std::vector<Search>& AllSearches() {
  static const std::vector<Search> all = {Search::kAbsMax, Search::kMse, Search::kMseSigned};
  return all;
}

}  // namespace tessera
