#include "verify/arithmetic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "formats/result.h"
#include "quant/kernels/round.h"
#include "quant/reference.h"

namespace tessera {

void RoundToBf16(std::span<float> values) {
  std::array<uint16_t, 1024> bits;
  for (size_t at = 0; at < values.size(); at += bits.size()) {
    const size_t n = std::min(bits.size(), values.size() - at);
    kernels::F32ToBf16(values.data() + at, n, bits.data());
    kernels::Bf16ToF32(bits.data(), n, values.data() + at);
  }
}

float RoundedToBf16(float value) { return reference::DecodeBf16(reference::RoundToBf16(value)); }

void Round(Arithmetic arithmetic, std::span<float> values) {
  if (arithmetic != Arithmetic::kF32) RoundToBf16(values);
}

void QuantizeActivations(MatrixView<const float> x, bool ue8m0, MatrixView<float> out) {
  constexpr uint64_t kBlock = 128;
  for (uint64_t i = 0; i < x.rows; ++i) {
    for (uint64_t begin = 0; begin < x.cols; begin += kBlock) {
      const auto block = x.Row(i).subspan(begin, std::min(kBlock, x.cols - begin));
      float amax = 0;
      for (const float value : block) amax = std::max(amax, std::abs(value));
      const float scale = reference::BlockScale(amax, ue8m0);
      for (size_t k = 0; k < block.size(); ++k) {
        const uint8_t code = reference::EncodeE4m3(block[k], scale);
        out.row(i)[begin + k] = reference::Scaled(reference::DecodeE4m3(code), scale);
      }
    }
  }
}

void RmsNorm(Arithmetic arithmetic, std::span<const float> x, std::span<const float> weight,
             double eps, std::span<float> out) {
  TESSERA_CHECK(x.size() == weight.size() && x.size() == out.size());
  double squares = 0;
  for (const float value : x) squares += double{value} * double{value};
  const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  for (size_t i = 0; i < x.size(); ++i) {
    const double normed = double{x[i]} * factor;
    // transformers makes a BF16 tensor of it before the weight comes in.
    out[i] = arithmetic == Arithmetic::kBf16 ? RoundedToBf16(static_cast<float>(normed)) * weight[i]
                                             : static_cast<float>(normed * double{weight[i]});
  }
  Round(arithmetic, out);
}

void LayerNorm(Arithmetic arithmetic, std::span<float> x, std::span<const float> weight,
               std::span<const float> bias, double eps) {
  TESSERA_CHECK(x.size() == weight.size() && x.size() == bias.size());
  const auto n = static_cast<double>(x.size());
  double sum = 0, squares = 0;
  for (const float value : x) sum += double{value};
  const double mean = sum / n;
  for (const float value : x) squares += (double{value} - mean) * (double{value} - mean);
  const double factor = 1 / std::sqrt(squares / n + eps);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>((double{x[i]} - mean) * factor * double{weight[i]} + double{bias[i]});
  }
  Round(arithmetic, x);
}

void SiluTimes(Arithmetic arithmetic, std::span<float> gate, std::span<const float> up) {
  TESSERA_CHECK(gate.size() == up.size());
  for (float& value : gate) {
    value = static_cast<float>(double{value} / (1 + std::exp(-double{value})));
  }
  Round(arithmetic, gate);
  for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i];
  Round(arithmetic, gate);
}

void AddTo(Arithmetic arithmetic, std::span<float> x, std::span<const float> y) {
  TESSERA_CHECK(x.size() == y.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  Round(arithmetic, x);
}

}  // namespace tessera
