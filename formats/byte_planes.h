// The bytes of words sorted by their place in the word. Of floating-point weights the exponents
// repeat and the mantissas are noise: apart, they are compressed for what each of them is.
#pragma once

#include <cstddef>
#include <span>

namespace tessera {

// Turns each little-endian word of `width` bytes, 2 or 4, left by one bit, so that the exponent of
// BF16 and F32 is a byte of its own; then come all lowest bytes, all second ones, and so on, and
// last, as it is, what is less than a word. `planes` has the size of `words`.
void SplitPlanes(std::span<const std::byte> words, unsigned width, std::span<std::byte> planes);

// The other way round.
void JoinPlanes(std::span<const std::byte> planes, unsigned width, std::span<std::byte> words);

}  // namespace tessera
