#include "formats/zstd_frames.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/support/zstd_file.h"

namespace tessera {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// Bytes that compress a little, as weights do.
std::string Contents(size_t size) {
  std::minstd_rand random(static_cast<unsigned>(size) + 1);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random() >> 8 & 0x3F);
  return text;
}

std::string Slice(const std::string& text, uint64_t begin, uint64_t bytes) {
  return text.substr(begin, bytes);
}

// A number as the table holds it.
std::string U32(uint32_t value) {
  std::string text;
  for (int i = 0; i < 4; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

class ZstdFramesTest : public testing::Test {
 protected:
  File Write(const std::string& bytes) {
    dir_.Write("f.zst", bytes);
    return *File::OpenRead(dir_ / "f.zst");
  }
  std::string Unpack(const std::string& bytes) { return UnpackedOrRule(Write(bytes)); }

  TempDir dir_;
};

TEST_F(ZstdFramesTest, GivesBackWhatWasPackedWhateverTheFrames) {
  for (const size_t size : {0U, 1U, 99U, 100U, 101U, 250U, 1000U}) {
    for (const size_t piece : {1U, 100U, 1000U}) {
      const std::string contents = Contents(size);
      EXPECT_EQ(Unpack(ZstdFile(contents, piece)), contents) << size << " in frames of " << piece;
    }
  }
  const std::string large = Contents(2 * kZstdFrameBytes + 12345);
  const std::string packed = ZstdFile(large, kZstdFrameBytes);
  EXPECT_LT(packed.size(), large.size() * 9 / 10);
  EXPECT_LE(packed.size(), ZstdBound(large.size()));
  EXPECT_TRUE(Unpack(packed) == large);
}

TEST_F(ZstdFramesTest, ReadsEveryRange) {
  const std::string contents = Contents(23);
  const File file = Write(ZstdFile(contents, 5));
  const ZstdFrames frames = *ZstdFrames::Read(file);
  for (size_t begin = 0; begin <= contents.size(); ++begin) {
    for (size_t end = begin; end <= contents.size(); ++end) {
      std::string text(end - begin, '\0');
      ASSERT_TRUE(frames.ReadAt(file, begin, std::as_writable_bytes(std::span(text))));
      EXPECT_EQ(text, Slice(contents, begin, end - begin));
    }
  }
  std::string text(2, '\0');
  const auto beyond = frames.ReadAt(file, 22, std::as_writable_bytes(std::span(text)));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code(), ErrorCode::kTruncated);
}

TEST_F(ZstdFramesTest, TwoFilesReadInTurnsDoNotMix) {
  const std::string a = Contents(50), b = Contents(60);
  dir_.Write("a", ZstdFile(a, 40));
  dir_.Write("b", ZstdFile(b, 40));
  const File file_a = *File::OpenRead(dir_ / "a"), file_b = *File::OpenRead(dir_ / "b");
  const ZstdFrames frames_a = *ZstdFrames::Read(file_a), frames_b = *ZstdFrames::Read(file_b);
  std::string text(1, '\0');
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(frames_a.ReadAt(file_a, i, std::as_writable_bytes(std::span(text))));
    EXPECT_EQ(text[0], a[i]);
    ASSERT_TRUE(frames_b.ReadAt(file_b, i, std::as_writable_bytes(std::span(text))));
    EXPECT_EQ(text[0], b[i]);
  }
}

TEST_F(ZstdFramesTest, EveryDamagedByteIsFoundOrHarmless) {
  const std::string contents = Contents(300);
  const std::string good = ZstdFile(contents, 120);
  size_t found = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int flip : {0x01, 0x10, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const std::string got = Unpack(bad);
      if (got != contents) ++found;
      EXPECT_TRUE(got == contents || got.size() < 30) << at << " ^ " << flip;
    }
  }
  EXPECT_GT(found, good.size() * 4 * 95 / 100);
}

TEST_F(ZstdFramesTest, AnotherLengthIsRefused) {
  const std::string good = ZstdFile(Contents(300), 120);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_LT(Unpack(good.substr(0, size)).size(), 30u) << size;
  }
  EXPECT_EQ(Unpack(good + '\0'), "unsupported");
  EXPECT_EQ(Unpack(std::string(1, '\0') + good), "bad-offsets");
  EXPECT_EQ(Unpack(good + good), "bad-offsets");
  EXPECT_EQ(Unpack(""), "unsupported");
}

// No entry is believed before it is known to be there, and none asks for more than a frame may
// hold.
TEST_F(ZstdFramesTest, HostileTablesAreRefusedBeforeAnythingIsAllocated) {
  const auto table = [](uint32_t frames, const std::string& entries, char flags = '\x80') {
    return U32(0x184D2A5E) + U32(static_cast<uint32_t>(entries.size() + 9)) + entries +
           U32(frames) + flags + U32(0x8F92EAB1);
  };
  EXPECT_EQ(Unpack(table(0, "")), "");
  EXPECT_EQ(Unpack(table(0xFFFFFFFF, "")), "unsupported");
  EXPECT_EQ(Unpack(table(kMaxZstdFrames, "")), "bad-offsets");
  EXPECT_EQ(Unpack(table(0, "", '\x84')), "bad-offsets");
  EXPECT_EQ(Unpack(table(1, U32(0) + U32(0xFFFFFFFF) + U32(0))), "unsupported");
  EXPECT_EQ(Unpack(table(1, U32(0xFFFFFFFF) + U32(0) + U32(0))), "unsupported");
  EXPECT_EQ(Unpack(table(1, U32(1) + U32(1) + U32(0))), "bad-offsets");
  // It fills the file, and holds nothing of what it promises.
  EXPECT_EQ(Unpack(table(1, U32(0) + U32(uint32_t{64} << 20) + U32(0))), "read-failed");
}

TEST_F(ZstdFramesTest, TablesWithoutChecksumsAndFramesWithoutContentsAreRead) {
  const std::string contents = Contents(10);
  ZstdPacker packer = *ZstdPacker::Make({3});
  const auto frame = [&](const std::string& part) {
    const auto bytes = packer.Pack(Bytes(part), false)->bytes;
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const std::string empty = frame(""), first = frame(Slice(contents, 0, 4)),
                    second = frame(Slice(contents, 4, 6));
  const auto entry = [](const std::string& packed, uint32_t bytes) {
    return U32(static_cast<uint32_t>(packed.size())) + U32(bytes);
  };
  const std::string entries =
      entry(empty, 0) + entry(first, 4) + entry(empty, 0) + entry(second, 6) + entry(empty, 0);
  EXPECT_EQ(Unpack(empty + first + empty + second + empty + U32(0x184D2A5E) +
                   U32(static_cast<uint32_t>(entries.size() + 9)) + entries + U32(5) + '\0' +
                   U32(0x8F92EAB1)),
            contents);
}

TEST_F(ZstdFramesTest, ADamagedFrameNamesItsFile) {
  std::string bad = ZstdFile(Contents(300), 120);
  bad[60] = static_cast<char>(bad[60] ^ 1);
  const File file = Write(bad);
  const ZstdFrames frames = *ZstdFrames::Read(file);
  std::string text(1, '\0');
  const auto read = frames.ReadAt(file, 3, std::as_writable_bytes(std::span(text)));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kReadFailed);
  EXPECT_EQ(read.error().file(), file.path().string());
  // The frames beside it are whole.
  EXPECT_TRUE(frames.ReadAt(file, 130, std::as_writable_bytes(std::span(text))));
}

TEST_F(ZstdFramesTest, APackerHoldsNoMoreThanItSays) {
  const std::string piece = Contents(kZstdFrameBytes);
  // The hungriest of those that are counted alike.
  for (const int level : {3, 8, kMaxZstdLevel}) {
    ZstdPacker packer = *ZstdPacker::Make({level});
    ASSERT_TRUE(packer.Pack(Bytes(piece), true));
    EXPECT_LE(packer.HeldBytes() + piece.size(), ZstdPacker::BytesFor({level})) << level;
  }
}

}  // namespace
}  // namespace tessera
