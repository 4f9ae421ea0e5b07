#include "quant/rounding_error.h"

#include <algorithm>
#include <cmath>

namespace tessera {

RoundingErrors::RoundingErrors(uint32_t exponent_bits, uint32_t mantissa_bits, TopExponent top)
    : mantissa_bits_(mantissa_bits),
      mantissa_mask_((uint32_t{1} << mantissa_bits) - 1),
      exponent_mask_((uint32_t{1} << exponent_bits) - 1) {
  const int bias = static_cast<int>(exponent_mask_ / 2);
  const uint32_t exponents = exponent_mask_ + (top == TopExponent::kNumbers ? 1 : 0);
  for (uint32_t e = 0; e < exponents; ++e) {
    // Subnormals have the step of the smallest normal numbers.
    const int step = std::max(static_cast<int>(e), 1) - bias - static_cast<int>(mantissa_bits);
    const double width = std::ldexp(1.0, step);
    other_[e] = static_cast<float>(width / std::sqrt(12.0));
    // Zero, and the smallest normal number, have full steps on both sides.
    power_of_two_[e] = e <= 1 ? other_[e] : static_cast<float>(width / 4);
  }
}

}  // namespace tessera
