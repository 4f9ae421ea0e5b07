#include "formats/byte_planes.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace tessera {
namespace {

std::string Noise(size_t size) {
  std::minstd_rand random(static_cast<unsigned>(size) + 1);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random() >> 8);
  return text;
}

// What the header says, a bit at a time.
std::string SplitByBits(const std::string& words, unsigned width) {
  const size_t count = words.size() / width, bits = 8 * width;
  std::string planes(count * width, '\0');
  for (size_t i = 0; i < count; ++i) {
    for (size_t bit = 0; bit < bits; ++bit) {
      const size_t from = (bit + bits - 1) % bits;
      const int set = words[i * width + from / 8] >> (from % 8) & 1;
      char& byte = planes[bit / 8 * count + i];
      byte = static_cast<char>(byte | set << (bit % 8));
    }
  }
  return planes + words.substr(count * width);
}

TEST(BytePlanes, AreWhatTheHeaderSaysAndJoinAgainAtEverySizeAndAddress) {
  for (const unsigned width : {2u, 4u}) {
    for (size_t size = 0; size < 300; ++size) {
      const std::string words = Noise(size);
      for (const size_t shift : {0U, 1U, 3U}) {
        // One byte behind the end shows who writes beyond it.
        std::string from(shift, '\0'), planes(shift + size + 1, '#'), joined = planes;
        from += words;
        const auto bytes = [&](std::string& text) {
          return std::as_writable_bytes(std::span(text)).subspan(shift, size);
        };
        SplitPlanes(bytes(from), width, bytes(planes));
        EXPECT_EQ(planes.substr(shift), SplitByBits(words, width) + "#") << width << " " << size;
        JoinPlanes(bytes(planes), width, bytes(joined));
        EXPECT_EQ(joined.substr(shift), words + "#") << width << " " << size;
      }
    }
  }
}

TEST(BytePlanes, TheHighestOneHoldsTheExponents) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  std::vector<std::byte> planes(2 * all.size());
  SplitPlanes(std::as_bytes(std::span(all)), 2, planes);
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(std::to_integer<unsigned>(planes[all.size() + i]), i >> 7 & 0xFF) << i;
  }
  for (const float value : {1.0f, -1.0f, 0x1.8p-126f, -0x1.fffffep127f, 0.0f, 0x1p-149f}) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    std::byte of_one[4];
    SplitPlanes(std::as_bytes(std::span(&value, 1)), 4, of_one);
    EXPECT_EQ(std::to_integer<uint32_t>(of_one[3]), bits >> 23 & 0xFF) << value;
  }
}

}  // namespace
}  // namespace tessera
