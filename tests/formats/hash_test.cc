#include "formats/hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace tessera {
namespace {

std::vector<std::byte> Counting(size_t n) {
  std::vector<std::byte> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 7);
  return bytes;
}

// From `xxhsum -H128` and `sha256sum`.
TEST(Hash, AgreesWithUpstreamsTools) {
  EXPECT_EQ(ToHex(Xxh3("")), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(ToHex(Xxh3("abc")), "06b05ab6733a618578af5f94892f3950");
  Sha256Stream sha;
  sha.Update(std::as_bytes(std::span("abc", 3)));
  EXPECT_EQ(sha.FinishHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, StreamsGiveTheSameHoweverCut) {
  const auto bytes = Counting(2000);
  const Digest whole = Xxh3(bytes);
  for (size_t cut = 0; cut <= bytes.size(); cut += 37) {
    Xxh3Stream stream;
    stream.Update(std::span<const std::byte>(bytes).first(cut));
    stream.Update(std::span<const std::byte>(bytes).subspan(cut));
    EXPECT_EQ(stream.Finish(), whole) << cut;
  }
}

TEST(Hash, NumbersEnterAsLittleEndianBytes) {
  Xxh3Stream stream;
  stream.Update(uint64_t{0x0807060504030201});
  EXPECT_EQ(stream.Finish(), Xxh3("\x01\x02\x03\x04\x05\x06\x07\x08"));
}

TEST(Hash, CombineDependsOnOrderAndIsTheHashOfTheCanonicalBytes) {
  const Digest a = Xxh3("a"), b = Xxh3("b");
  std::vector<std::byte> bytes(a.bytes.begin(), a.bytes.end());
  bytes.insert(bytes.end(), b.bytes.begin(), b.bytes.end());
  EXPECT_EQ(Combine(std::vector{a, b}), Xxh3(bytes));
  EXPECT_NE(Combine(std::vector{a, b}), Combine(std::vector{b, a}));
}

TEST(Hash, DigestsParseBackAndNothingElseDoes) {
  const std::string hex = ToHex(Xxh3("x"));
  const auto back = ParseDigest(hex);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, Xxh3("x"));
  for (size_t i = 0; i < hex.size(); ++i) {
    for (const char bad : {'g', 'A', ' ', '\0', '/', ':', '`'}) {
      std::string spoiled = hex;
      spoiled[i] = bad;
      EXPECT_FALSE(ParseDigest(spoiled)) << i;
    }
    EXPECT_FALSE(ParseDigest(hex.substr(0, i)));
  }
  EXPECT_FALSE(ParseDigest(hex + "0"));
}

}  // namespace
}  // namespace tessera
