#include "quant/int_quantize.h"

#include <algorithm>
#include <cmath>

#include "quant/reference.h"

namespace tessera {
namespace {

// scale = largest magnitude / highest code, to the nearest code.
void QuantizeGroup(const IntFormat& format, std::span<const float> in, float& scale,
                   std::span<int8_t> codes) {
  float amax = 0;
  for (const float x : in) amax = std::max(amax, std::fabs(x));
  scale = amax == 0 ? 1.0f : amax / static_cast<float>(format.highest());
  if (format.scale == Dtype::kBF16) scale = reference::DecodeBf16(reference::RoundToBf16(scale));
  if (format.scale == Dtype::kF16) scale = reference::DecodeF16(reference::RoundToF16(scale));
  for (size_t i = 0; i < in.size(); ++i) {
    codes[i] = static_cast<int8_t>(std::clamp(static_cast<int>(std::nearbyint(in[i] / scale)),
                                              format.lowest(), format.highest()));
  }
}

}  // namespace

void QuantizeRows(const IntFormat& format, Search, const float* in, uint64_t, const IntRows& out,
                  ValueStats& stats) {
  const uint64_t step = format.GroupCols(out.cols);
  for (uint64_t row = 0; row < out.rows; ++row) {
    for (uint64_t group = 0; group < out.groups; ++group) {
      const uint64_t begin = row * out.cols + group * step;
      const uint64_t n = std::min(step, out.cols - group * step);
      const std::span<const float> values(in + begin, n);
      const auto bad = std::ranges::count_if(values, [](float x) { return !std::isfinite(x); });
      stats.not_finite += static_cast<uint64_t>(bad);
      if (bad == 0) {
        QuantizeGroup(format, values, out.scales[row * out.groups + group],
                      out.codes.subspan(begin, n));
      }
    }
  }
}

void DequantizeRows(const IntFormat& format, const IntRows& in, float* out) {
  const uint64_t step = format.GroupCols(in.cols);
  for (uint64_t row = 0; row < in.rows; ++row) {
    for (uint64_t col = 0; col < in.cols; ++col) {
      const uint64_t group = row * in.groups + col / step;
      const int code = in.codes[row * in.cols + col] - in.zeros[group];
      out[row * in.cols + col] = reference::Scaled(static_cast<float>(code), in.scales[group]);
    }
  }
}

}  // namespace tessera
