#include "formats/dtype.h"

#include <algorithm>
#include <array>

namespace tessera {
namespace {

constexpr std::array kTable = {
    DtypeInfo{Dtype::kBool, "BOOL", 8},
    DtypeInfo{Dtype::kF4, "F4", 4},
    DtypeInfo{Dtype::kF6E2M3, "F6_E2M3", 6},
    DtypeInfo{Dtype::kF6E3M2, "F6_E3M2", 6},
    DtypeInfo{Dtype::kU8, "U8", 8},
    DtypeInfo{Dtype::kI8, "I8", 8},
    DtypeInfo{Dtype::kF8E5M2, "F8_E5M2", 8},
    DtypeInfo{Dtype::kF8E4M3, "F8_E4M3", 8},
    DtypeInfo{Dtype::kF8E8M0, "F8_E8M0", 8},
    DtypeInfo{Dtype::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8},
    DtypeInfo{Dtype::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8},
    DtypeInfo{Dtype::kI16, "I16", 16},
    DtypeInfo{Dtype::kU16, "U16", 16},
    DtypeInfo{Dtype::kF16, "F16", 16},
    DtypeInfo{Dtype::kBF16, "BF16", 16},
    DtypeInfo{Dtype::kI32, "I32", 32},
    DtypeInfo{Dtype::kU32, "U32", 32},
    DtypeInfo{Dtype::kF32, "F32", 32},
    DtypeInfo{Dtype::kC64, "C64", 64},
    DtypeInfo{Dtype::kF64, "F64", 64},
    DtypeInfo{Dtype::kI64, "I64", 64},
    DtypeInfo{Dtype::kU64, "U64", 64},
};

constexpr bool TableFollowsEnum() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].dtype) != i) return false;
  }
  return true;
}
static_assert(TableFollowsEnum());

}  // namespace

const DtypeInfo& Info(Dtype dtype) { return kTable[static_cast<size_t>(dtype)]; }

std::optional<Dtype> ParseDtype(std::string_view safetensors_name) {
  const auto row = std::ranges::find(kTable, safetensors_name, &DtypeInfo::name);
  if (row == kTable.end()) return std::nullopt;
  return row->dtype;
}

std::span<const DtypeInfo> AllDtypes() { return kTable; }

}  // namespace tessera
