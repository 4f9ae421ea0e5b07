// The error that rounding to a small float type is expected to have made, from the rounded value.
#pragma once

#include <array>
#include <cstdint>

namespace tessera {

// By a value's bits: the root mean square over the interval of numbers that round to it, each as
// likely as the other. Of a step s that is s / sqrt(12); below a power of two the steps are half as
// wide, so its interval [-s/4, s/2] gives s / sqrt(16).
class RoundingErrors {
 public:
  enum class TopExponent : uint8_t { kSpecial, kNumbers };  // IEEE's infinity and NaN, or not

  RoundingErrors(uint32_t exponent_bits, uint32_t mantissa_bits,
                 TopExponent top = TopExponent::kSpecial);

  // Of infinity and NaN: 0.
  float Of(uint32_t bits) const {
    const uint32_t exponent = (bits >> mantissa_bits_) & exponent_mask_;
    return (bits & mantissa_mask_) == 0 ? power_of_two_[exponent] : other_[exponent];
  }

 private:
  uint32_t mantissa_bits_, mantissa_mask_, exponent_mask_;
  std::array<float, 256> power_of_two_{}, other_{};  // by exponent field
};

}  // namespace tessera
