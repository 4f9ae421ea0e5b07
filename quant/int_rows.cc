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

// The values under one scale: `rows` stretches of `n`, the first one at [row, col].
struct Tile {
  uint64_t row, rows, group, col, n;
};

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
        sums_(format.group_rows) {}

  // Rows that share their scales.
  void QuantizeRowsOf(uint64_t row, uint64_t rows, ValueStats& stats) {
    std::ranges::fill(row_totals_, IntQuality::Worst{});
    row_totals_.resize(rows);
    const uint64_t step = format_.GroupCols(out_.cols);
    for (uint64_t group = 0; group < out_.groups; ++group) {
      const uint64_t col = group * step;
      QuantizeTile({row, rows, group, col, std::min(step, out_.cols - col)}, stats);
    }
    for (uint64_t i = 0; i < rows; ++i) {
      row_totals_[i].row = first_row_ + row + i;
      stats.quality.worst_row.Include(row_totals_[i]);
    }
  }

 private:
  const float* Values(const Tile& tile, uint64_t i) const {
    return in_ + (tile.row + i) * out_.cols + tile.col;
  }

  void QuantizeTile(const Tile& tile, ValueStats& stats) {
    const kernels::IntExtremes extremes = FindExtremes(tile);
    if (extremes.magnitude_bits >= std::bit_cast<uint32_t>(BeyondRange(format_))) {
      Refuse(tile, stats);
      return;
    }
    const bool all_zero = extremes.magnitude_bits == 0;
    IntScale scale;
    if (search_ == Search::kAbsMax) {
      scale = AbsMaxScale(format_, extremes.min, extremes.max);
      Encode(tile, scale, ArithmeticOf(format_.rule));
    } else if (all_zero) {
      scale = {1, 0, 1};
      Encode(tile, scale, kernels::IntArithmetic::kInverse);
    } else {
      scale = SearchScale(format_, search_ == Search::kMseSigned, extremes.min, extremes.max,
                          Gather(tile), math_);
      Encode(tile, scale, kernels::IntArithmetic::kInverse);
      Refit(tile, scale);
    }
    StoreScale(tile, scale);
    AddQuality(tile, scale, all_zero, stats.quality);
  }

  kernels::IntExtremes FindExtremes(const Tile& tile) const {
    kernels::IntExtremes all = math_.find_extremes(Values(tile, 0), tile.n);
    for (uint64_t i = 1; i < tile.rows; ++i) {
      const kernels::IntExtremes row = math_.find_extremes(Values(tile, i), tile.n);
      all.min = std::min(all.min, row.min);
      all.max = std::max(all.max, row.max);
      all.magnitude_bits = std::max(all.magnitude_bits, row.magnitude_bits);
    }
    return all;
  }

  void Refuse(const Tile& tile, ValueStats& stats) {
    const float beyond = BeyondRange(format_);
    for (uint64_t i = 0; i < tile.rows; ++i) {
      const float* values = Values(tile, i);
      for (uint64_t k = 0; k < tile.n; ++k) stats.not_finite += !(std::fabs(values[k]) < beyond);
      std::fill_n(Codes(tile, i), tile.n, int8_t{0});
    }
    StoreScale(tile, {1, 0, 1});
  }

  // The values one after another.
  std::span<const float> Gather(const Tile& tile) {
    if (tile.rows == 1) return {Values(tile, 0), tile.n};
    gathered_.resize(tile.rows * tile.n);
    for (uint64_t i = 0; i < tile.rows; ++i) {
      std::copy_n(Values(tile, i), tile.n, gathered_.data() + i * tile.n);
    }
    return gathered_;
  }

  int8_t* Codes(const Tile& tile, uint64_t i) const {
    return out_.codes.data() + (tile.row + i) * out_.cols + tile.col;
  }

  // Codes of the whole tile, and their sums row by row. Returns the noise in units of the scale
  // squared.
  double Encode(const Tile& tile, const IntScale& scale, kernels::IntArithmetic arithmetic) {
    // Subnormal scales are rare, and kernels need the inverse.
    const bool normal = std::fabs(scale.scale) >= kernels::kLeastNormal;
    const auto encode = normal ? math_.encode : kReferenceMath.encode;
    const kernels::IntCoding coding{scale.divisor,    1 / scale.scale,   scale.zero,
                                    format_.lowest(), format_.highest(), arithmetic};
    double noise = 0;
    for (uint64_t i = 0; i < tile.rows; ++i) {
      sums_[i] = encode(Values(tile, i), tile.n, coding, Codes(tile, i));
      noise += double{sums_[i].error_squared};
    }
    return noise;
  }

  // The codes that a scale gave say which scale would have been best for them; that one gives codes
  // that are better still, or the first ones come back.
  void Refit(const Tile& tile, IntScale& scale) {
    double noise = 0, crossed = 0, squared = 0;
    for (uint64_t i = 0; i < tile.rows; ++i) {
      noise += double{sums_[i].error_squared};
      crossed += double{sums_[i].error_times_code};
      squared += double{sums_[i].code_squared};
    }
    const float refit = RefitScale(format_, scale.scale, crossed, squared);
    if (refit == scale.scale) return;
    const IntScale again{refit, scale.zero, refit};
    const double before = noise * scale.scale * scale.scale;
    const double after = Encode(tile, again, kernels::IntArithmetic::kInverse) * refit * refit;
    if (after < before) {
      scale = again;
    } else {
      Encode(tile, scale, kernels::IntArithmetic::kInverse);
    }
  }

  void StoreScale(const Tile& tile, const IntScale& scale) const {
    for (uint64_t i = 0; i < tile.rows; ++i) {
      const uint64_t at = (tile.row + i) * out_.groups + tile.group;
      out_.scales[at] = scale.scale;
      out_.zeros[at] = static_cast<int8_t>(scale.zero);
    }
  }

  void AddQuality(const Tile& tile, const IntScale& scale, bool all_zero, IntQuality& quality) {
    const double unit = double{scale.scale} * scale.scale;
    IntQuality::Worst whole{.row = first_row_ + tile.row, .group = tile.group};
    for (uint64_t i = 0; i < tile.rows; ++i) {
      const double noise = double{sums_[i].error_squared};
      const double squared = double{sums_[i].code_squared};
      const double crossed = double{sums_[i].error_times_code} + squared;
      const double signal = noise + crossed + double{sums_[i].error_times_code};
      quality.signal += signal * unit;
      quality.noise += noise * unit;
      quality.cross += crossed * unit;
      quality.quantized += squared * unit;
      quality.saturated += sums_[i].saturated;
      row_totals_[i].signal += signal * unit;
      row_totals_[i].noise += noise * unit;
      whole.signal += signal * unit;
      whole.noise += noise * unit;
    }
    const auto weights = static_cast<double>(tile.rows * tile.n);
    quality.weights += tile.rows * tile.n;
    quality.zero_groups += all_zero;
    if (!all_zero) quality.predicted += weights * unit / 12;
    quality.worst_group.Include(whole);
  }

  const IntFormat& format_;
  const Search search_;
  const float* in_;
  const uint64_t first_row_;
  const IntRows& out_;
  const IntMath& math_;
  std::vector<float> gathered_;
  std::vector<kernels::IntSums> sums_;  // of the tile's rows
  std::vector<IntQuality::Worst> row_totals_;
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
