#include "quant/int_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tessera {
namespace {

kernels::IntArithmetic ArithmeticOf(AbsMaxRule rule) {
  switch (rule) {
    case AbsMaxRule::kCompressedTensors:
      return kernels::IntArithmetic::kBf16;
    case AbsMaxRule::kAutoAwq:
      return kernels::IntArithmetic::kF16;
    case AbsMaxRule::kInt8Block:
      return kernels::IntArithmetic::kF32Truncate;
    case AbsMaxRule::kGptq:
    case AbsMaxRule::kInt8Row:
    case AbsMaxRule::kInt4Fp8:
      return kernels::IntArithmetic::kF32;
  }
  return {};
}

class Quantizer {
 public:
  Quantizer(const IntFormat& format, Search search, const float* in, uint64_t first_row,
            const IntRows& out, const IntMath& math)
      : format_(format),
        search_(search),
        in_(in),
        first_row_(first_row),
        out_(out),
        math_(math),
        group_cols_(format.GroupCols(out.cols)),
        beyond_(std::bit_cast<uint32_t>(BeyondRange(format))),
        arithmetic_(search == Search::kAbsMax ? ArithmeticOf(format.rule)
                                              : kernels::IntArithmetic::kInverse),
        extremes_(out.groups),
        scales_(out.groups),
        codings_(out.groups) {}

  // Rows that share their scales. All scales come before all codes: a scale waits for a chain of
  // operations, and the chains of several groups can run beside one another.
  void QuantizeRowsOf(uint64_t row, uint64_t rows, ValueStats& stats) {
    row_ = row;
    rows_ = rows;
    sums_.resize(rows * out_.groups);
    totals_.assign(rows, {});
    FindExtremes();
    for (uint64_t group = 0; group < out_.groups; ++group) {
      scales_[group] = ChooseScale(group);
      codings_[group] = CodingUnder(scales_[group]);
    }
    for (uint64_t i = 0; i < rows; ++i) {
      math_.encode({Values(i, 0), out_.cols, group_cols_}, codings_.data(), Codes(i, 0),
                   &sums_[i * out_.groups]);
    }
    for (uint64_t group = 0; group < out_.groups; ++group) FinishGroup(group, stats);
    for (uint64_t i = 0; i < rows; ++i) {
      totals_[i].row = first_row_ + row + i;
      stats.quality.worst_row.Include(totals_[i]);
    }
  }

 private:
  uint64_t Cols(uint64_t group) const {
    return std::min(group_cols_, out_.cols - group * group_cols_);
  }
  const float* Values(uint64_t i, uint64_t group) const {
    return in_ + (row_ + i) * out_.cols + group * group_cols_;
  }
  int8_t* Codes(uint64_t i, uint64_t group) const {
    return out_.codes.data() + (row_ + i) * out_.cols + group * group_cols_;
  }
  kernels::IntSums& Sums(uint64_t i, uint64_t group) { return sums_[i * out_.groups + group]; }
  bool IsFinite(uint64_t group) const { return extremes_[group].magnitude_bits < beyond_; }
  bool IsZero(uint64_t group) const { return extremes_[group].magnitude_bits == 0; }

  void FindExtremes() {
    math_.find_extremes({Values(0, 0), out_.cols, group_cols_}, extremes_.data());
    std::vector<kernels::IntExtremes> more(rows_ > 1 ? out_.groups : 0);
    for (uint64_t i = 1; i < rows_; ++i) {
      math_.find_extremes({Values(i, 0), out_.cols, group_cols_}, more.data());
      for (uint64_t group = 0; group < out_.groups; ++group) {
        kernels::IntExtremes& all = extremes_[group];
        all.min = std::min(all.min, more[group].min);
        all.max = std::max(all.max, more[group].max);
        all.magnitude_bits = std::max(all.magnitude_bits, more[group].magnitude_bits);
      }
    }
  }

  IntScale ChooseScale(uint64_t group) {
    const kernels::IntExtremes& extremes = extremes_[group];
    if (!IsFinite(group)) return {1, 0, 1};
    if (search_ == Search::kAbsMax) return AbsMaxScale(format_, extremes.min, extremes.max);
    if (IsZero(group)) return {1, 0, 1};
    return SearchScale(format_, search_ == Search::kMseSigned, extremes.min, extremes.max,
                       Gather(group), math_);
  }

  kernels::IntCoding CodingUnder(const IntScale& scale) const {
    return {scale.divisor,    1 / scale.scale,   scale.zero,
            format_.lowest(), format_.highest(), arithmetic_};
  }

  // The values of a group, one row after another.
  std::span<const float> Gather(uint64_t group) {
    const uint64_t n = Cols(group);
    if (rows_ == 1) return {Values(0, group), n};
    gathered_.resize(rows_ * n);
    for (uint64_t i = 0; i < rows_; ++i) {
      std::copy_n(Values(i, group), n, gathered_.data() + i * n);
    }
    return gathered_;
  }

  void FinishGroup(uint64_t group, ValueStats& stats) {
    if (!IsFinite(group)) {
      Refuse(group, stats);
    } else if (std::fabs(scales_[group].scale) < kernels::kLeastNormal) {
      Encode(group, kReferenceMath);  // kernels need a finite inverse
    } else if (search_ != Search::kAbsMax) {
      Refit(group);
    }
    for (uint64_t i = 0; i < rows_; ++i) {
      const uint64_t at = (row_ + i) * out_.groups + group;
      out_.scales[at] = scales_[group].scale;
      out_.zeros[at] = static_cast<int8_t>(scales_[group].zero);
    }
    if (IsFinite(group)) AddQuality(group, stats.quality);
  }

  void Refuse(uint64_t group, ValueStats& stats) {
    for (uint64_t i = 0; i < rows_; ++i) {
      for (uint64_t k = 0; k < Cols(group); ++k) {
        const auto bits = std::bit_cast<uint32_t>(std::fabs(Values(i, group)[k]));
        stats.not_finite += bits >= beyond_;
      }
      std::fill_n(Codes(i, group), Cols(group), int8_t{0});
    }
  }

  void Encode(uint64_t group, const IntMath& math) {
    codings_[group] = CodingUnder(scales_[group]);
    const uint64_t n = Cols(group);
    for (uint64_t i = 0; i < rows_; ++i) {
      math.encode({Values(i, group), n, n}, &codings_[group], Codes(i, group), &Sums(i, group));
    }
  }

  // Of a group, in units of its scale squared.
  struct Totals {
    double noise = 0, crossed = 0, squared = 0;
  };
  Totals TotalsOf(uint64_t group) {
    Totals totals;
    for (uint64_t i = 0; i < rows_; ++i) {
      totals.noise += double{Sums(i, group).error_squared};
      totals.crossed += double{Sums(i, group).error_times_code};
      totals.squared += double{Sums(i, group).code_squared};
    }
    return totals;
  }

  // The codes that a scale gave say which scale would have been best for them; that one gives codes
  // that are better still, or the first ones come back.
  void Refit(uint64_t group) {
    const IntScale first = scales_[group];
    const Totals totals = TotalsOf(group);
    const float refit = RefitScale(format_, first.scale, totals.crossed, totals.squared);
    if (refit == first.scale) return;
    scales_[group] = {refit, first.zero, refit};
    Encode(group, math_);
    const double before = totals.noise * first.scale * first.scale;
    if (TotalsOf(group).noise * refit * refit < before) return;
    scales_[group] = first;
    Encode(group, math_);
  }

  void AddQuality(uint64_t group, IntQuality& quality) {
    const double unit = double{scales_[group].scale} * scales_[group].scale;
    const double predicted = IsZero(group) ? 0 : static_cast<double>(Cols(group)) * (unit / 12);
    IntQuality::Worst whole{.row = first_row_ + row_, .group = group};
    for (uint64_t i = 0; i < rows_; ++i) {
      const kernels::IntSums& sums = Sums(i, group);
      const double noise = double{sums.error_squared} * unit;
      const double squared = double{sums.code_squared} * unit;
      const double crossed = double{sums.error_times_code} * unit;
      const double signal = noise + 2 * crossed + squared;  // ((y - c) + c)^2
      quality.signal += signal;
      quality.noise += noise;
      quality.cross += crossed + squared;
      quality.quantized += squared;
      quality.saturated += sums.saturated;
      for (IntQuality::Worst* place : {&totals_[i], &whole}) {
        place->signal += signal;
        place->noise += noise;
        place->predicted += predicted;
      }
    }
    quality.weights += rows_ * Cols(group);
    quality.zero_groups += IsZero(group);
    quality.predicted += whole.predicted;
    quality.worst_group.Include(whole);
  }

  const IntFormat& format_;
  const Search search_;
  const float* in_;
  const uint64_t first_row_;
  const IntRows& out_;
  const IntMath& math_;
  const uint64_t group_cols_;
  const uint32_t beyond_;
  const kernels::IntArithmetic arithmetic_;

  // Of the rows at hand.
  uint64_t row_ = 0, rows_ = 0;
  std::vector<kernels::IntExtremes> extremes_;  // [groups]
  std::vector<IntScale> scales_;                // [groups]
  std::vector<kernels::IntCoding> codings_;     // [groups]
  std::vector<kernels::IntSums> sums_;          // [rows, groups]
  std::vector<IntQuality::Worst> totals_;       // [rows]
  std::vector<float> gathered_;
};

}  // namespace

void QuantizeRows(const IntFormat& format, Search search, const float* in, uint64_t first_row,
                  const IntRows& out, ValueStats& stats, const IntMath& math) {
  if (out.cols == 0) return;
  Quantizer quantizer(format, search, in, first_row, out, math);
  for (uint64_t row = 0; row < out.rows; row += format.group_rows) {
    quantizer.QuantizeRowsOf(row, std::min(format.group_rows, out.rows - row), stats);
  }
}

void DequantizeRows(const IntFormat& format, const IntRows& in, float* out) {
  const uint64_t step = format.GroupCols(in.cols);
  for (uint64_t row = 0; row < in.rows; ++row) {
    for (uint64_t group = 0; group < in.groups; ++group) {
      const uint64_t begin = row * in.cols + group * step;
      const uint64_t n = std::min(step, in.cols - group * step);
      const uint64_t at = row * in.groups + group;
      kernels::IntsToF32(in.codes.data() + begin, n, in.zeros[at], in.scales[at], out + begin);
    }
  }
}

}  // namespace tessera
