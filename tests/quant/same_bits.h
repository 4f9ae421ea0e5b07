// Compares rows bit for bit, so that NaN and -0 count, and names the first element that differs.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace tessera {

template <class T>
uint64_t BitsOfValue(T x) {
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<uint32_t>(x);
  } else {
    return static_cast<uint64_t>(x);
  }
}

template <class T>
testing::AssertionResult SameBits(const std::vector<T>& got, const std::vector<T>& want) {
  if (got.size() != want.size()) {
    return testing::AssertionFailure() << got.size() << " elements, want " << want.size();
  }
  for (size_t i = 0; i < got.size(); ++i) {
    if (BitsOfValue(got[i]) != BitsOfValue(want[i])) {
      return testing::AssertionFailure()
             << std::hex << "element 0x" << i << " is 0x" << BitsOfValue(got[i]) << ", want 0x"
             << BitsOfValue(want[i]);
    }
  }
  return testing::AssertionSuccess();
}

inline float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

// Scales that break shortcuts: borders of the table's range, subnormal, overflowing, signed, none.
inline const std::vector<float>& AwkwardScales() {
  static const std::vector<float> scales = {1.0f,
                                            -1.0f,
                                            0x1.8p-14f,
                                            -0x1.52b4dep-13f,
                                            1e-4f / 448,
                                            0x1.fffffep-1f,
                                            0x1p-120f,
                                            0x1.fp-121f,
                                            -0x1p-121f,
                                            0x1p-126f,
                                            0x1.8p-127f,
                                            0x1p-149f,
                                            0x1.234p-140f,
                                            0x1p118f,
                                            0x1.fffffep118f,
                                            0x1p119f,
                                            0x1.24p119f,
                                            0x1.2492p119f,
                                            0x1p120f,
                                            -0x1p127f,
                                            0x1.fffffep127f,
                                            0.0f,
                                            -0.0f,
                                            FromBits(0x7F800000),
                                            FromBits(0xFF800000),
                                            FromBits(0x7FC00000),
                                            FromBits(0xFFC00001),
                                            FromBits(0x7F800001)};
  return scales;
}

}  // namespace tessera
