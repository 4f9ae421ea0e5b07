// Where a forward pass rounds, and the element-wise pieces that do (docs/numerics.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/matrix.h"

namespace tessera {

enum class Arithmetic : uint8_t {
  kF32,   // no rounding but F32's own; sums of norms, softmax and router in double
  kBf16,  // to BF16 wherever transformers holds a BF16 tensor
  kFp8,   // as DeepSeek's demo: BF16, and E4M3 activations in front of FP8 weights
};

// Rounds in place where the arithmetic holds BF16; nothing in kF32.
void Round(Arithmetic arithmetic, std::span<float> values);
void RoundToBf16(std::span<float> values);
float RoundedToBf16(float value);

// DeepSeek's act_quant and back: every 128 columns of a row become E4M3 codes times their scale.
void QuantizeActivations(MatrixView<const float> x, bool ue8m0, MatrixView<float> out);

// out = x / sqrt(mean(x^2) + eps) * weight; a row at a time. `out` may be `x`.
void RmsNorm(Arithmetic arithmetic, std::span<const float> x, std::span<const float> weight,
             double eps, std::span<float> out);

// (x - mean) / sqrt(variance + eps) * weight + bias, in place.
void LayerNorm(Arithmetic arithmetic, std::span<float> x, std::span<const float> weight,
               std::span<const float> bias, double eps);

// gate = silu(gate) * up
void SiluTimes(Arithmetic arithmetic, std::span<float> gate, std::span<const float> up);

// x += y
void AddTo(Arithmetic arithmetic, std::span<float> x, std::span<const float> y);

}  // namespace tessera
