#include "formats/dtype.h"

#include <algorithm>
#include <array>

#include "formats/result.h"

namespace tessera {
namespace {

constexpr std::array kTable = {
    DtypeInfo{Dtype::kBool, "BOOL", 1, 8, std::nullopt},
    DtypeInfo{Dtype::kF4, "F4", 1, 4, std::nullopt},
    DtypeInfo{Dtype::kF6E2M3, "F6_E2M3", 1, 6, std::nullopt},
    DtypeInfo{Dtype::kF6E3M2, "F6_E3M2", 1, 6, std::nullopt},
    DtypeInfo{Dtype::kU8, "U8", 1, 8, std::nullopt},
    DtypeInfo{Dtype::kI8, "I8", 1, 8, 24},
    DtypeInfo{Dtype::kF8E5M2, "F8_E5M2", 1, 8, std::nullopt},
    DtypeInfo{Dtype::kF8E4M3, "F8_E4M3", 1, 8, std::nullopt},
    DtypeInfo{Dtype::kF8E8M0, "F8_E8M0", 1, 8, std::nullopt},
    DtypeInfo{Dtype::kF8E4M3Fnuz, "F8_E4M3FNUZ", 1, 8, std::nullopt},
    DtypeInfo{Dtype::kF8E5M2Fnuz, "F8_E5M2FNUZ", 1, 8, std::nullopt},
    DtypeInfo{Dtype::kI16, "I16", 1, 16, 25},
    DtypeInfo{Dtype::kU16, "U16", 1, 16, std::nullopt},
    DtypeInfo{Dtype::kF16, "F16", 1, 16, 1},
    DtypeInfo{Dtype::kBF16, "BF16", 1, 16, 30},
    DtypeInfo{Dtype::kI32, "I32", 1, 32, 26},
    DtypeInfo{Dtype::kU32, "U32", 1, 32, std::nullopt},
    DtypeInfo{Dtype::kF32, "F32", 1, 32, 0},
    DtypeInfo{Dtype::kC64, "C64", 1, 64, std::nullopt},
    DtypeInfo{Dtype::kF64, "F64", 1, 64, 28},
    DtypeInfo{Dtype::kI64, "I64", 1, 64, 27},
    DtypeInfo{Dtype::kU64, "U64", 1, 64, std::nullopt},
    DtypeInfo{Dtype::kQ4_0, "Q4_0", 32, 18 * 8, 2},
    DtypeInfo{Dtype::kQ4_1, "Q4_1", 32, 20 * 8, 3},
    DtypeInfo{Dtype::kQ5_0, "Q5_0", 32, 22 * 8, 6},
    DtypeInfo{Dtype::kQ5_1, "Q5_1", 32, 24 * 8, 7},
    DtypeInfo{Dtype::kQ8_0, "Q8_0", 32, 34 * 8, 8},
    DtypeInfo{Dtype::kQ8_1, "Q8_1", 32, 36 * 8, 9},
    DtypeInfo{Dtype::kQ2_K, "Q2_K", 256, 84 * 8, 10},
    DtypeInfo{Dtype::kQ3_K, "Q3_K", 256, 110 * 8, 11},
    DtypeInfo{Dtype::kQ4_K, "Q4_K", 256, 144 * 8, 12},
    DtypeInfo{Dtype::kQ5_K, "Q5_K", 256, 176 * 8, 13},
    DtypeInfo{Dtype::kQ6_K, "Q6_K", 256, 210 * 8, 14},
    DtypeInfo{Dtype::kQ8_K, "Q8_K", 256, 292 * 8, 15},
    DtypeInfo{Dtype::kIq2Xxs, "IQ2_XXS", 256, 66 * 8, 16},
    DtypeInfo{Dtype::kIq2Xs, "IQ2_XS", 256, 74 * 8, 17},
    DtypeInfo{Dtype::kIq3Xxs, "IQ3_XXS", 256, 98 * 8, 18},
    DtypeInfo{Dtype::kIq1S, "IQ1_S", 256, 50 * 8, 19},
    DtypeInfo{Dtype::kIq4Nl, "IQ4_NL", 32, 18 * 8, 20},
    DtypeInfo{Dtype::kIq3S, "IQ3_S", 256, 110 * 8, 21},
    DtypeInfo{Dtype::kIq2S, "IQ2_S", 256, 82 * 8, 22},
    DtypeInfo{Dtype::kIq4Xs, "IQ4_XS", 256, 136 * 8, 23},
    DtypeInfo{Dtype::kIq1M, "IQ1_M", 256, 56 * 8, 29},
    DtypeInfo{Dtype::kTq1_0, "TQ1_0", 256, 54 * 8, 34},
    DtypeInfo{Dtype::kTq2_0, "TQ2_0", 256, 66 * 8, 35},
    DtypeInfo{Dtype::kMxfp4, "MXFP4", 32, 17 * 8, 39},
    DtypeInfo{Dtype::kNvfp4, "NVFP4", 64, 36 * 8, 40},
    DtypeInfo{Dtype::kQ1_0, "Q1_0", 128, 18 * 8, 41},
    DtypeInfo{Dtype::kQ2_0, "Q2_0", 64, 18 * 8, 42},
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

uint64_t BitsOf(Dtype dtype) {
  TESSERA_CHECK(!Info(dtype).is_block());
  return Info(dtype).block_bits;
}

std::optional<Dtype> ParseDtype(std::string_view name) {
  const auto row = std::ranges::find(kTable, name, &DtypeInfo::name);
  if (row == kTable.end()) return std::nullopt;
  return row->dtype;
}

std::optional<Dtype> ParseSafetensorsDtype(std::string_view name) {
  const auto dtype = ParseDtype(name);
  return dtype && !Info(*dtype).is_block() ? dtype : std::nullopt;
}

std::optional<Dtype> DtypeOfGgml(uint64_t id) {
  const auto row =
      std::ranges::find_if(kTable, [&](const DtypeInfo& info) { return info.ggml == id; });
  if (row == kTable.end()) return std::nullopt;
  return row->dtype;
}

std::span<const DtypeInfo> AllDtypes() { return kTable; }

}  // namespace tessera
