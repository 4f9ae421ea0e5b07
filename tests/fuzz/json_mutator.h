// Random changes of a JSON document that mostly leave it one: other scalars, values in each other's
// place, keys and elements gone or twice. Text goes in and out, since a parser would refuse what
// should be tried.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera {

// One change, sometimes of bytes alone.
std::string MutateJson(std::string_view document, uint32_t seed);
// A value of `b` in the place of one of `a`.
std::string CrossJson(std::string_view a, std::string_view b, uint32_t seed);
// What libFuzzer itself makes of some bytes; it knows what the program compared them with.
std::string MutateBytes(std::string_view bytes, size_t max_size);

// The bytes for libFuzzer; `size` where they would not fit.
size_t Deliver(std::string_view bytes, uint8_t* data, size_t size, size_t max_size);

}  // namespace tessera
