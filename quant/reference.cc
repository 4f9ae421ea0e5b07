#include "quant/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace tessera::reference {
namespace {

const float kQuietNan = std::bit_cast<float>(uint32_t{0x7FC00000});

// A sign, `exponent_bits` and `fraction_bits`, as IEEE reads them, without the special values.
float DecodeFinite(uint32_t code, int exponent_bits, int fraction_bits, int bias) {
  const uint32_t fraction = code & ((1u << fraction_bits) - 1);
  const int exponent = static_cast<int>((code >> fraction_bits) & ((1u << exponent_bits) - 1));
  const float significand =
      static_cast<float>(exponent == 0 ? fraction : fraction + (1u << fraction_bits));
  const float magnitude = std::ldexp(significand, std::max(exponent, 1) - bias - fraction_bits);
  const bool negative = ((code >> (exponent_bits + fraction_bits)) & 1) != 0;
  return negative ? -magnitude : magnitude;
}

// |x| as a multiple of the spacing of floats with `fraction_bits` around it, nearest even, packed
// into exponent and fraction; overflow is the caller's to see. Double holds every step exactly.
uint32_t RoundMagnitude(float x, int fraction_bits, int bias) {
  const double magnitude = std::fabs(static_cast<double>(x));
  const int exponent = std::max(magnitude == 0 ? 1 - bias : std::ilogb(magnitude), 1 - bias);
  const auto steps =
      static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, fraction_bits - exponent)));
  // A subnormal has no leading one in `steps`; rounding up to the next binade carries by itself.
  return steps + (static_cast<uint32_t>(exponent + bias - 1) << fraction_bits);
}

}  // namespace

float DecodeE4m3(uint8_t code) {
  return (code & 0x7F) == 0x7F ? kQuietNan : DecodeFinite(code, 4, 3, 7);
}

float DecodeE5m2(uint8_t code) { return DecodeF16(static_cast<uint16_t>(code << 8)); }

float DecodeE8m0(uint8_t code) { return code == 255 ? kQuietNan : std::ldexp(1.0f, code - 127); }

float DecodeBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

float DecodeF16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits} >> 15 << 31;
  if ((bits & 0x7C00) == 0x7C00) {
    return std::bit_cast<float>(sign | 0x7F800000u | (bits & 0x3FFu) << 13);
  }
  return DecodeFinite(bits, 5, 10, 15);
}

uint16_t RoundToBf16(float x) {
  if (std::isnan(x)) return 0x7FC0;
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isinf(x)) return sign | 0x7F80;
  return static_cast<uint16_t>(sign | RoundMagnitude(x, 7, 127));  // overflow packs as infinity
}

uint16_t RoundToF16(float x) {
  if (std::isnan(x)) return 0x7E00;
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isinf(x)) return sign | 0x7C00;
  return static_cast<uint16_t>(sign | std::min(RoundMagnitude(x, 10, 15), 0x7C00u));
}

uint8_t RoundToE4m3(float x) {
  if (std::isnan(x)) return 0x7F;
  const uint8_t sign = std::signbit(x) ? 0x80 : 0;
  if (std::isinf(x)) return sign | 0x7E;
  return static_cast<uint8_t>(sign | std::min(RoundMagnitude(x, 3, 7), 0x7Eu));
}

float Scaled(float value, float scale) {
  const float product = value * scale;
  return std::isnan(product) ? kQuietNan : product;
}

size_t DequantE4m3Row(std::span<const uint8_t> codes, std::span<const float> scales,
                      uint32_t block_cols, float* out) {
  size_t nan_codes = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const float value = DecodeE4m3(codes[i]);
    nan_codes += std::isnan(value);
    out[i] = Scaled(value, scales[i / block_cols]);
  }
  return nan_codes;
}

float BlockScale(float amax, bool ue8m0) {
  if (!std::isfinite(amax)) return std::numeric_limits<float>::infinity();
  const float scale = std::max(amax, 1e-4f) / 448.0f;
  if (!ue8m0) return scale;
  // By the exponent's bits, since log2 in floats can miss an exact power of two. The clamp keeps
  // the scale normal, and 448 keeps it from overflowing.
  const auto bits = std::bit_cast<uint32_t>(scale);
  return std::bit_cast<float>((bits + 0x7FFFFF) & 0x7F800000);
}

uint8_t EncodeE4m3(float x, float scale) {
  if (scale == 0) scale = std::copysign(1.0f, scale);
  return RoundToE4m3(x / scale);
}

}  // namespace tessera::reference
