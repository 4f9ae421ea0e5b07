// Which weights the run calls worse than their scales promise: no honest one, every spoilt one.
#include "convert/tensor_quality.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "quant/int_rows.h"
#include "quant/int_search.h"
#include "quant/registry.h"
#include "quant/scheme_int.h"

namespace tessera {
namespace {

constexpr uint64_t kRows = 256, kCols = 2048;  // 4096 groups
const std::vector<Search> kSearches = {Search::kAbsMax, Search::kMse};

using Draw = std::function<float(std::mt19937&)>;

std::vector<float> Weights(uint64_t rows, uint64_t cols, const Draw& draw) {
  std::mt19937 random(static_cast<unsigned>(cols));
  std::vector<float> weights(rows * cols);
  for (float& x : weights) x = 0.02f * draw(random);
  return weights;
}

std::vector<float> HeavyTailed() {
  std::student_t_distribution<float> student(5);
  return Weights(kRows, kCols, student);
}

// What encodes wrongly, row by row, and is honest about the error that makes.
struct Spoilt {
  // Codes of the part of a row that begins at `col`, zero included.
  using Codes = void (*)(const kernels::IntRow& row, const kernels::IntCoding* codings,
                         uint64_t row_index, uint64_t col, int8_t* codes);
  static inline Codes spoil = nullptr;
  static inline const float* first = nullptr;  // of the weight

  static void Encode(const kernels::IntRow& row, const kernels::IntCoding* codings, int8_t* codes,
                     kernels::IntSums* sums) {
    const auto at = static_cast<uint64_t>(row.x - first);
    spoil(row, codings, at / kCols, at % kCols, codes);
    for (uint64_t col = 0; col < row.cols; ++col) {
      const uint64_t group = col / row.group_cols;
      if (col % row.group_cols == 0) sums[group] = {};
      const float y = row.x[col] * codings[group].inverse;
      const auto code = static_cast<float>(codes[col] - codings[group].zero);
      sums[group].error_squared += (y - code) * (y - code);
      sums[group].error_times_code += (y - code) * code;
      sums[group].code_squared += code * code;
    }
  }
};

void EncodeWell(const kernels::IntRow& row, const kernels::IntCoding* codings, int8_t* codes) {
  std::vector<kernels::IntSums> unused(row.cols / row.group_cols + 1);
  kernels::EncodeInts(row, codings, codes, unused.data());
}

void EncodeWellThere(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t,
                     uint64_t, int8_t* codes) {
  EncodeWell(row, codings, codes);
}

void SwapNibbles(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t, uint64_t,
                 int8_t* codes) {
  EncodeWell(row, codings, codes);
  for (uint64_t col = 0; col + 1 < row.cols; col += 2) std::swap(codes[col], codes[col + 1]);
}

void ShiftZero(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t, uint64_t,
               int8_t* codes) {
  EncodeWell(row, codings, codes);
  for (uint64_t col = 0; col < row.cols; ++col) {
    codes[col] = static_cast<int8_t>(std::min(codes[col] + 1, codings[0].highest));
  }
}

// As if made under the scale of the group before.
void ShiftScales(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t, uint64_t,
                 int8_t* codes) {
  const uint64_t groups = row.cols / row.group_cols;
  std::vector<kernels::IntCoding> shifted(codings, codings + groups);
  std::rotate(shifted.begin(), shifted.end() - 1, shifted.end());
  EncodeWell(row, shifted.data(), codes);
}

void WidenScale(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t, uint64_t,
                int8_t* codes) {
  std::vector<kernels::IntCoding> wide(codings, codings + row.cols / row.group_cols);
  for (kernels::IntCoding& coding : wide)
    coding.inverse *= 16.0f / 15, coding.divisor *= 15.0f / 16;
  EncodeWell(row, wide.data(), codes);
}

void SwapTwoRows(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t index,
                 uint64_t, int8_t* codes) {
  const int64_t away = index == 20 ? 1 : index == 21 ? -1 : 0;
  EncodeWell({row.x + away * int64_t{kCols}, row.cols, row.group_cols}, codings, codes);
}

void ZeroOneRow(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t index,
                uint64_t, int8_t* codes) {
  EncodeWell(row, codings, codes);
  if (index == 17) std::fill_n(codes, row.cols, static_cast<int8_t>(codings[0].zero));
}

void ZeroOneGroup(const kernels::IntRow& row, const kernels::IntCoding* codings, uint64_t index,
                  uint64_t col, int8_t* codes) {
  EncodeWell(row, codings, codes);
  for (uint64_t k = 0; k < row.cols; ++k) {
    if (index == 17 && (col + k) / 128 == 5) codes[k] = static_cast<int8_t>(codings[0].zero);
  }
}

TensorQuality JudgeSpoilt(const IntScheme& scheme, const std::vector<float>& weights,
                          const QualityLimits& limits, Spoilt::Codes spoil) {
  Spoilt::spoil = spoil;
  Spoilt::first = weights.data();
  const IntMath math = {kKernelMath.find_extremes, kKernelMath.squared_errors, &Spoilt::Encode};
  const IntBuffer out(scheme.format(), kRows, kCols);
  ValueStats stats;
  QuantizeRows(scheme.format(), scheme.search(), weights.data(), 0, out.rows(), stats, math);
  return Judge(stats.quality, limits);
}

TEST(TensorQuality, EveryPlantedFaultIsBelow) {
  const std::vector<float> weights = HeavyTailed();
  const SchemeRow& row = *FindScheme("w4a16");
  for (const Search search : kSearches) {
    const auto made = row.make({.search = search, .input_scale = {}, .like = {}});
    const auto& scheme = dynamic_cast<const IntScheme&>(*made);
    const auto below = [&](Spoilt::Codes spoil) {
      return JudgeSpoilt(scheme, weights, LimitsOf(row, search), spoil).below;
    };
    SCOPED_TRACE(Name(search));
    EXPECT_FALSE(below(EncodeWellThere));
    EXPECT_TRUE(below(SwapNibbles));
    EXPECT_TRUE(below(ShiftZero));
    EXPECT_TRUE(below(SwapTwoRows));
    EXPECT_TRUE(below(ZeroOneRow));
    EXPECT_TRUE(below(ZeroOneGroup));
    EXPECT_TRUE(below(WidenScale));
    EXPECT_TRUE(below(ShiftScales));
  }
}

// Rows of 512 to 18432 columns, which V3's linears have, and shorter ones, bell-shaped to
// heavy-tailed.
TEST(TensorQualitySlow, NoHonestWeightIsBelow) {
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> five(5), three(3);
  for (const SchemeRow& row : Schemes()) {
    if (row.repacks) continue;
    for (const Search search : kSearches) {
      const auto made = row.make({.search = search, .input_scale = 0.01f, .like = {}});
      const auto* scheme = dynamic_cast<const IntScheme*>(made.get());
      if (scheme == nullptr) continue;
      for (const uint64_t cols : {128u, 512u, 1536u, 2048u, 7168u, 18432u}) {
        for (const Draw& draw : {Draw(normal), Draw(five), Draw(three)}) {
          const std::vector<float> weights = Weights(128, cols, draw);
          const IntBuffer out(scheme->format(), 128, cols);
          ValueStats stats;
          QuantizeRows(scheme->format(), search, weights.data(), 0, out.rows(), stats);
          const TensorQuality quality = Judge(stats.quality, LimitsOf(row, search));
          EXPECT_FALSE(quality.below)
              << row.name << " " << Name(search) << " " << cols << ": " << quality.sqnr
              << " dB, predicted " << quality.predicted_sqnr << ", worst row "
              << quality.worst_row_sqnr << ", worst group " << quality.worst_group_sqnr;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera
