#include "quant/ggml_types.h"

#include <algorithm>
#include <array>

namespace tessera {
namespace {

constexpr std::array<GgmlTypeInfo, 13> kTypes = {{
    {Dtype::kQ4_0, true},
    {Dtype::kQ4_1, true},
    {Dtype::kQ5_0, true},
    {Dtype::kQ5_1, true},
    {Dtype::kQ8_0, false},
    {Dtype::kQ2_K, true},
    {Dtype::kQ3_K, true},
    {Dtype::kQ4_K, true},
    {Dtype::kQ5_K, true},
    {Dtype::kQ6_K, true},
    {Dtype::kIq4Nl, true},
    {Dtype::kIq4Xs, true},
    {Dtype::kMxfp4, false},
}};

constexpr char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

std::span<const GgmlTypeInfo> AllGgmlTypes() { return kTypes; }

bool IsGgmlType(Dtype type) {
  return std::ranges::find(kTypes, type, &GgmlTypeInfo::type) != kTypes.end();
}

std::optional<Dtype> ParseGgmlType(std::string_view name) {
  for (const GgmlTypeInfo& info : kTypes) {
    if (std::ranges::equal(name, Name(info.type), {}, Upper)) return info.type;
  }
  return std::nullopt;
}

size_t GgmlRowBytes(Dtype type, size_t cols) {
  return cols / Info(type).block * Info(type).block_bytes();
}

}  // namespace tessera
