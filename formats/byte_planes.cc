#include "formats/byte_planes.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace tessera {
namespace {

static_assert(std::endian::native == std::endian::little);

// Plain loops over pointers of which the compiler knows that they are apart: it vectorizes them.

template <class Word>
void Split(const std::byte* __restrict words, size_t count, std::byte* __restrict planes) {
  for (size_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, words + i * sizeof(Word), sizeof(Word));
    word = std::rotl(word, 1);
    for (size_t plane = 0; plane < sizeof(Word); ++plane) {
      planes[plane * count + i] = static_cast<std::byte>(word >> (8 * plane));
    }
  }
}

template <class Word>
void Join(const std::byte* __restrict planes, size_t count, std::byte* __restrict words) {
  for (size_t i = 0; i < count; ++i) {
    Word word = 0;
    for (size_t plane = 0; plane < sizeof(Word); ++plane) {
      const auto byte = std::to_integer<Word>(planes[plane * count + i]);
      word = static_cast<Word>(word | byte << (8 * plane));
    }
    word = std::rotr(word, 1);
    std::memcpy(words + i * sizeof(Word), &word, sizeof(Word));
  }
}

}  // namespace

void SplitPlanes(std::span<const std::byte> words, unsigned width, std::span<std::byte> planes) {
  const size_t count = words.size() / width;
  const auto split = width == 2 ? Split<uint16_t> : Split<uint32_t>;
  split(words.data(), count, planes.data());
  std::ranges::copy(words.subspan(count * width), planes.subspan(count * width).begin());
}

void JoinPlanes(std::span<const std::byte> planes, unsigned width, std::span<std::byte> words) {
  const size_t count = planes.size() / width;
  const auto join = width == 2 ? Join<uint16_t> : Join<uint32_t>;
  join(planes.data(), count, words.data());
  std::ranges::copy(planes.subspan(count * width), words.subspan(count * width).begin());
}

}  // namespace tessera
