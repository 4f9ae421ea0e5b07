// The errors that rounding to E4M3 makes, from the codes that came of it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

// Root mean squares, of the least code that is of its kind; one exponent more doubles them.
struct E4m3Errors {
  float power_of_two;  // of code 0x10, exponent 2; below, powers of two are as any other
  float other;         // of code 0x09, exponent 1, and of subnormal numbers
};

// out[i] = scale * error of codes[i].
void ExpectE4m3Errors(const uint8_t* codes, size_t n, const E4m3Errors& errors, float scale,
                      float* out);

}  // namespace tessera::kernels
