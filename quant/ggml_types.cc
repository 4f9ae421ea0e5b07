#include "quant/ggml_types.h"

#include <algorithm>
#include <array>

namespace tessera {
namespace {

constexpr std::array<GgmlTypeInfo, 13> kTypes = {{
    {GgmlType::kQ4_0, "Q4_0", 2, 32, 18, true},
    {GgmlType::kQ4_1, "Q4_1", 3, 32, 20, true},
    {GgmlType::kQ5_0, "Q5_0", 6, 32, 22, true},
    {GgmlType::kQ5_1, "Q5_1", 7, 32, 24, true},
    {GgmlType::kQ8_0, "Q8_0", 8, 32, 34, false},
    {GgmlType::kQ2_K, "Q2_K", 10, 256, 84, true},
    {GgmlType::kQ3_K, "Q3_K", 11, 256, 110, true},
    {GgmlType::kQ4_K, "Q4_K", 12, 256, 144, true},
    {GgmlType::kQ5_K, "Q5_K", 13, 256, 176, true},
    {GgmlType::kQ6_K, "Q6_K", 14, 256, 210, true},
    {GgmlType::kIq4Nl, "IQ4_NL", 20, 32, 18, true},
    {GgmlType::kIq4Xs, "IQ4_XS", 23, 256, 136, true},
    {GgmlType::kMxfp4, "MXFP4", 39, 32, 17, false},
}};

consteval bool RowsAreInEnumOrder() {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<size_t>(kTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(RowsAreInEnumOrder());

constexpr char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

const GgmlTypeInfo& Info(GgmlType type) { return kTypes[static_cast<size_t>(type)]; }

std::optional<GgmlType> ParseGgmlType(std::string_view name) {
  for (const GgmlTypeInfo& info : kTypes) {
    if (std::ranges::equal(name, info.name, {}, Upper)) return info.type;
  }
  return std::nullopt;
}

std::span<const GgmlTypeInfo> AllGgmlTypes() { return kTypes; }

size_t GgmlRowBytes(GgmlType type, size_t cols) {
  const GgmlTypeInfo& info = Info(type);
  return cols / info.block * info.bytes;
}

}  // namespace tessera
