// What a fuzz target claims: libFuzzer reports the trap, a plain test dies of it.
#pragma once

#include <cstdint>
#include <string_view>

namespace tessera {

inline void Require(bool condition) {
  if (!condition) __builtin_trap();
}

inline std::string_view AsText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace tessera
