// Frames of byte planes: read back exactly, chosen where they pay, refused by whoever could take
// them for something else.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>

#include "formats/safetensors.h"
#include "formats/zstd_frames.h"
#include "tests/support/safetensors_file.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zstd_file.h"

namespace tessera {
namespace {

constexpr Compression kPlanes{.level = 3, .planes = true};

std::string Raw(uint64_t value, size_t bytes = 4) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// Weights of one deviation, the upper `bytes` of each F32.
std::string Weights(size_t size, size_t bytes, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::string text;
  while (text.size() < size) {
    const float value = normal(random);
    text.append(reinterpret_cast<const char*>(&value) + 4 - bytes, bytes);
  }
  return text.substr(0, size);
}

// Bytes of the same odds wherever they are, as codes of FP8 are.
std::string Codes(size_t size) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 20);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(static_cast<int>(normal(random)));
  return text;
}

// Where the only frame's ID of four bytes is, and what it is.
size_t PlaceOfId(const std::string& frame) { return (frame[4] & 0x20) != 0 ? 5 : 6; }
bool HasId(const std::string& frame) { return (frame[4] & 3) == 3; }
unsigned WidthIn(const std::string& frame) {
  if (!HasId(frame)) return 1;
  EXPECT_EQ(frame.substr(PlaceOfId(frame) + 1, 3), "pln");
  return static_cast<unsigned char>(frame[PlaceOfId(frame)]);
}

std::string TableOf(const std::string& frame, uint32_t bytes, bool checksum, uint32_t of = 0) {
  const std::string entry =
      Raw(static_cast<uint32_t>(frame.size())) + Raw(bytes) + (checksum ? Raw(of) : "");
  return Raw(0x184D2A5E) + Raw(static_cast<uint32_t>(entry.size() + 9)) + entry + Raw(1) +
         (checksum ? '\x80' : '\0') + Raw(0x8F92EAB1);
}

class ZstdPlanesTest : public testing::Test {
 protected:
  File Write(const std::string& bytes) {
    dir_.Write("f.zst", bytes);
    return *File::OpenRead(dir_ / "f.zst");
  }
  std::string Unpack(const std::string& bytes) { return UnpackedOrRule(Write(bytes)); }
  // Of a piece that is packed as any but the first, or as the first.
  std::string Frame(const std::string& piece, bool first = false) {
    const auto packed = packer_.Pack(std::as_bytes(std::span(piece)), first);
    return {reinterpret_cast<const char*>(packed->bytes.data()), packed->bytes.size()};
  }
  unsigned WidthOf(const std::string& piece) { return WidthIn(Frame(piece)); }

  TempDir dir_;
  ZstdPacker packer_ = *ZstdPacker::Make(kPlanes);
};

TEST_F(ZstdPlanesTest, GivesBackWhatWasPackedAtEverySizeWhateverItHolds) {
  const auto expect = [&](const std::string& contents, size_t piece) {
    const std::string packed = ZstdFile(contents, piece, kPlanes);
    EXPECT_TRUE(Unpack(packed) == contents) << contents.size() << " in frames of " << piece;
    EXPECT_LE(packed.size(), ZstdBound(contents.size()) + contents.size() / piece * 64);
  };
  for (size_t size = 0; size < 40; ++size) {
    for (const size_t piece : {1U, 2U, 3U, 7U, 40U}) expect(Weights(size, 2), piece);
  }
  constexpr size_t kFrame = kZstdFrameBytes;
  const std::string pool = Weights(2 * kFrame + 8, 2);
  for (const size_t frames : {1U, 2U}) {
    for (int around = -3; around <= 3; ++around) {
      const size_t size = frames * kFrame + static_cast<size_t>(around + 4);
      expect(pool.substr(4, size - 4), kFrame);
    }
  }
  // Words that begin at odd places, and a frame of several kinds.
  for (const size_t shift : {1U, 2U, 3U}) {
    expect(std::string(shift, 'x') + Weights(kFrame, 4), kFrame);
    expect(std::string(shift, 'x') + Codes(400000) + Weights(400000, 2) + Weights(600000, 4),
           kFrame);
  }
}

TEST_F(ZstdPlanesTest, ReadsEveryRangeOfSplitFrames) {
  const std::string contents = Weights(61, 2);
  const File file = Write(ZstdFile(contents, 13, kPlanes));
  const ZstdFrames frames = *ZstdFrames::Read(file);
  EXPECT_TRUE(frames.planes());
  for (size_t begin = 0; begin <= contents.size(); ++begin) {
    for (size_t end = begin; end <= contents.size(); ++end) {
      std::string text(end - begin, '\0');
      ASSERT_TRUE(frames.ReadAt(file, begin, std::as_writable_bytes(std::span(text))));
      EXPECT_EQ(text, contents.substr(begin, end - begin));
    }
  }
}

TEST_F(ZstdPlanesTest, WhatIsSplitIsChosenByWhatItHolds) {
  constexpr size_t kSize = kZstdFrameBytes;
  EXPECT_EQ(WidthOf(Weights(kSize, 2)), 2u);
  EXPECT_EQ(WidthOf(Weights(kSize, 4)), 4u);
  EXPECT_EQ(WidthOf(Codes(kSize)), 1u);
  EXPECT_EQ(WidthOf(std::string(kSize, '\0')), 1u);
  Contents tensors;
  for (int i = 0; i < 8000; ++i) {
    tensors.emplace_back("model.layers." + std::to_string(i) + ".mlp.experts.weight", "");
  }
  const std::string header = ShardBytes(tensors);
  EXPECT_EQ(WidthOf(header.substr(0, kSize)), 1u);
  std::string repeated;
  // Noise that comes again is found as a whole.
  while (repeated.size() < kSize) repeated += Weights(3000, 2);
  EXPECT_EQ(WidthOf(repeated.substr(0, kSize)), 1u);
  // Most of it decides.
  EXPECT_EQ(WidthOf(Codes(kSize / 8) + Weights(kSize / 8 * 7, 2)), 2u);
  EXPECT_EQ(WidthOf(Codes(kSize / 8 * 7) + Weights(kSize / 8, 2)), 1u);
  // The first frame says what the file is.
  for (const std::string& piece : {Codes(kSize), header.substr(0, 100), std::string(8, 'x')}) {
    EXPECT_EQ(WidthIn(Frame(piece, true)), 2u);
  }
}

TEST_F(ZstdPlanesTest, SavesAThirdOfBf16) {
  const std::string weights = Weights(kZstdFrameBytes, 2);
  ZstdPacker whole = *ZstdPacker::Make({.level = 3});
  const auto size = static_cast<double>(Frame(weights).size());
  EXPECT_GT(static_cast<double>(weights.size()) / size, 1.5);
  EXPECT_LT(size * 1.16, whole.Pack(std::as_bytes(std::span(weights)), false)->bytes.size());
}

TEST_F(ZstdPlanesTest, APieceGivesTheSameBytesWhateverCameBefore) {
  const std::string pieces[] = {Weights(kZstdFrameBytes, 2), Codes(1000), Weights(70001, 4),
                                Codes(kZstdFrameBytes)};
  for (const std::string& piece : pieces) {
    const std::string alone = Frame(piece);
    for (const std::string& before : pieces) {
      Frame(before, true);
      EXPECT_TRUE(Frame(piece) == alone);
    }
  }
}

TEST_F(ZstdPlanesTest, EveryDamagedByteIsFoundOrHarmless) {
  const std::string contents = Weights(120, 2) + Codes(40) + Weights(300, 4);
  const std::string good = ZstdFile(contents, 160, kPlanes);
  size_t found = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x06, 0x10, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const std::string got = Unpack(bad);
      if (got != contents) ++found;
      EXPECT_TRUE(got == contents || got.size() < 30) << at << " ^ " << flip;
    }
  }
  EXPECT_GT(found, good.size() * 5 * 95 / 100);
}

TEST_F(ZstdPlanesTest, HostileMarksAreRefused) {
  const std::string piece = Weights(20000, 2), frame = Frame(piece);
  ASSERT_EQ(WidthIn(frame), 2u);
  EXPECT_TRUE(Unpack(frame + TableOf(frame, 20000, false)) == piece);
  for (int width = 0; width < 256; ++width) {
    std::string other = frame;
    other[PlaceOfId(frame)] = static_cast<char>(width);
    const std::string got = Unpack(other + TableOf(other, 20000, true));
    EXPECT_EQ(got, width == 2 || width == 4 ? "read-failed" : "unsupported") << width;
  }
  // A dictionary of another's is no mark.
  std::string other = frame;
  other[PlaceOfId(frame) + 3] = 'N';
  EXPECT_EQ(Unpack(other + TableOf(other, 20000, false)), "read-failed");
  for (const uint32_t bytes : {0U, 19999U, 20001U}) {
    EXPECT_EQ(Unpack(frame + TableOf(frame, bytes, false)), bytes == 0 ? "" : "read-failed");
  }
  // Cut off anywhere, the mark included.
  for (size_t size = 0; size < frame.size(); size += size < 40 ? 1 : 331) {
    const std::string cut = frame.substr(0, size);
    EXPECT_EQ(Unpack(cut + TableOf(cut, 20000, false)).substr(0, 30), "read-failed") << size;
  }
}

TEST_F(ZstdPlanesTest, AWidthThatIsNotKnownIsRefusedByName) {
  std::string frame = Frame(Weights(1000, 2), true);
  frame[PlaceOfId(frame)] = 8;
  const auto read = ZstdFrames::Read(Write(frame + TableOf(frame, 1000, true)));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(read.error().Text().find("words of 8 bytes"), std::string::npos) << read.error().Text();
  EXPECT_EQ(read.error().file(), (dir_ / "f.zst").string());
}

// Whoever copies frames into another file may not bring planes where none are expected.
TEST_F(ZstdPlanesTest, PlanesAreRefusedWhereTheFirstFrameHasNone) {
  const std::string whole = Frame(Codes(1000)), split = Frame(Weights(20000, 2));
  const std::string entries = Raw(static_cast<uint32_t>(whole.size())) + Raw(1000) +
                              Raw(static_cast<uint32_t>(split.size())) + Raw(20000);
  const std::string table = Raw(0x184D2A5E) + Raw(static_cast<uint32_t>(entries.size() + 9)) +
                            entries + Raw(2) + '\0' + Raw(0x8F92EAB1);
  EXPECT_EQ(Unpack(whole + split + table), "read-failed");
}

// A decoder that ignores dictionary IDs, which none is known to, gets the planes: their first eight
// bytes are no length of a header.
TEST_F(ZstdPlanesTest, WithoutItsMarkTheFirstFrameIsNoSafetensorsFile) {
  const auto plain_frame = [&](const std::string& contents) {
    std::string frame = Frame(contents, true);
    frame.erase(PlaceOfId(frame), 4);
    frame[4] = static_cast<char>(frame[4] & ~3);
    return frame;
  };
  std::vector<std::string> files = {ShardBytes({}), Raw(2, 8) + "{}"};
  for (size_t i = 0; i < 300; ++i) {
    files.push_back(ShardBytes({{std::string(i + 1, 'n'), Weights(i * i, 2)}}));
  }
  files.push_back(ShardBytes({{"large", std::string(900000, '\0')}}));
  for (const std::string& contents : files) {
    dir_.Write("plain", contents);
    const auto header = ReadSafetensorsHeader(*File::OpenRead(dir_ / "plain"));
    ASSERT_TRUE(header) << header.error().Text();
    const std::string frame = plain_frame(contents);
    const auto bytes = static_cast<uint32_t>(contents.size());
    const std::string planes = Unpack(frame + TableOf(frame, bytes, false));
    ASSERT_EQ(planes.size(), contents.size());
    uint64_t length;
    std::memcpy(&length, planes.data(), sizeof length);
    EXPECT_GE(length, uint64_t{1} << 32);
    dir_.Write("planes", planes);
    EXPECT_FALSE(ReadSafetensorsHeader(*File::OpenRead(dir_ / "planes")));
    // The table tells as well.
    EXPECT_EQ(Unpack(frame + TableOf(frame, bytes, true, 0x1234)), "read-failed");
  }
}

TEST_F(ZstdPlanesTest, APackerHoldsNoMoreThanItSays) {
  const std::string piece = Weights(kZstdFrameBytes, 2);
  for (const int level : {3, 8, kMaxZstdLevel}) {
    const Compression compression{.level = level, .planes = true};
    ZstdPacker packer = *ZstdPacker::Make(compression);
    ASSERT_TRUE(packer.Pack(std::as_bytes(std::span(piece)), true));
    EXPECT_LE(packer.HeldBytes() + piece.size(), ZstdPacker::BytesFor(compression)) << level;
  }
}

}  // namespace
}  // namespace tessera
