// Which scale and zero a group of values gets.
#pragma once

#include <span>

#include "quant/int_format.h"
#include "quant/kernels/int_quantize.h"

namespace tessera {

// The arithmetic that quantizing is made of: kernels on the chosen SIMD target, or plain code.
struct IntMath {
  decltype(&kernels::FindExtremes) find_extremes;
  decltype(&kernels::SquaredErrors) squared_errors;
  decltype(&kernels::EncodeInts) encode;
};
extern const IntMath kKernelMath, kReferenceMath;

// The least magnitude that no value of a group may reach: what BF16 cannot hold, or F16 under F16
// scales. Such values count as not finite.
float BeyondRange(const IntFormat& format);

struct IntScale {
  float scale;    // as it is stored
  int zero;       // 0 where symmetric
  float divisor;  // what values are divided by; GPTQ rounds its scale only to store it
};

// What the rule's upstream chooses.
IntScale AbsMaxScale(const IntFormat& format, float min, float max);

// The scale of least squared error over `values`, which are not all zero. Never worse than
// AbsMaxScale.
IntScale SearchScale(const IntFormat& format, bool both_signs, float min, float max,
                     std::span<const float> values, const IntMath& math);

// The scale that is best for the codes that `sums` is about, as it would be stored.
float RefitScale(const IntFormat& format, float scale, double error_times_code,
                 double code_squared);

}  // namespace tessera
