// A checkpoint is the same one when its shards are compressed.
#include <gtest/gtest.h>

#include <string>

#include "formats/checkpoint.h"
#include "formats/zstd_frames.h"
#include "tests/support/safetensors_file.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zstd_file.h"

namespace tessera {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kOne = "model-00001-of-00002.safetensors";
constexpr const char* kTwo = "model-00002-of-00002.safetensors";
constexpr const char* kOneZst = "model-00001-of-00002.safetensors.zst";
constexpr const char* kTwoZst = "model-00002-of-00002.safetensors.zst";

// In frames of 64 bytes: header and tensors lie across their borders.
std::string Compressed(const std::string& contents) { return ZstdFile(contents, 64, {1}); }

class CompressedCheckpointTest : public testing::Test {
 protected:
  CompressedCheckpointTest()
      : one_(ShardBytes({{"a", std::string(100, 'a')}, {"b", "bb"}})),
        two_(ShardBytes({{"c", "ccc"}, {"d", std::string(200, 'd')}})) {
    dir_.Write("config.json", "{}");
  }

  void WriteIndex(const std::string& one, const std::string& two) {
    dir_.Write(kIndex, R"({"weight_map":{"a":")" + one + R"(","b":")" + one + R"(","c":")" + two +
                           R"(","d":")" + two + "\"}}");
  }
  std::string RuleOf(const std::filesystem::path& path) {
    const auto opened = Checkpoint::Open(path);
    return opened ? "" : std::string(Name(opened.error().code()));
  }
  // All tensors' bytes by name, or what went wrong.
  std::string ReadAll() {
    const auto checkpoint = Checkpoint::Open(dir_.path());
    if (!checkpoint) return checkpoint.error().Text();
    std::string all;
    for (const TensorExtent& tensor : checkpoint->tensors()) {
      std::string bytes(tensor.info.bytes(), '\0');
      const auto read = checkpoint->ReadBytes(tensor, 0, std::as_writable_bytes(std::span(bytes)));
      if (!read) return read.error().Text();
      all += tensor.info.name() + bytes;
    }
    return all;
  }

  const std::string everything_ =
      "a" + std::string(100, 'a') + "bbb" + "cccc" + "d" + std::string(200, 'd');
  const std::string one_, two_;
  TempDir dir_;
};

TEST_F(CompressedCheckpointTest, TheIndexMayNameEitherForm) {
  for (const bool zst : {false, true}) {
    WriteIndex(zst ? kOneZst : kOne, zst ? kTwoZst : kTwo);
    for (const char* one : {kOne, kOneZst}) {
      for (const char* two : {kTwo, kTwoZst}) {
        dir_.Write(one, one == kOne ? one_ : Compressed(one_));
        dir_.Write(two, two == kTwo ? two_ : Compressed(two_));
        EXPECT_EQ(ReadAll(), everything_) << zst << one << two;
        const Checkpoint checkpoint = *Checkpoint::Open(dir_.path());
        EXPECT_EQ(checkpoint.shards()[0].name, one);
        EXPECT_TRUE(checkpoint.side_files().empty());
        std::filesystem::remove(dir_ / one);
        std::filesystem::remove(dir_ / two);
      }
    }
  }
}

TEST_F(CompressedCheckpointTest, AShardInBothFormsIsOneTooMany) {
  WriteIndex(kOne, kTwo);
  dir_.Write(kOne, one_);
  dir_.Write(kTwo, two_);
  EXPECT_EQ(RuleOf(dir_.path()), "");
  dir_.Write(kTwoZst, Compressed(two_));
  EXPECT_EQ(RuleOf(dir_.path()), "extra-shard");
}

TEST_F(CompressedCheckpointTest, NumbersMustBeCompleteAndOneFileCanBeOpened) {
  dir_.Write(kOneZst, Compressed(one_));
  EXPECT_EQ(RuleOf(dir_ / kOneZst), "");
  EXPECT_EQ(RuleOf(dir_.path()), "shard-numbering");
}

TEST_F(CompressedCheckpointTest, ADamagedFrameNamesFileAndTensor) {
  WriteIndex(kOneZst, kTwoZst);
  dir_.Write(kOneZst, Compressed(one_));
  const std::string two = ShardBytes({{"c", "ccc"}, {"d", std::string(40000, 'd')}});
  std::string packed = Compressed(two);
  dir_.Write(kTwoZst, packed);
  // Opening reads a little at the beginning, in the middle and at the end.
  const uint64_t place = two.size() / 4;
  const ZstdFrames frames = *ZstdFrames::Read(*File::OpenRead(dir_ / kTwoZst));
  const ZstdFrame hit = frames.frames()[place / 64];
  for (uint32_t i = 6; i < hit.packed; ++i) packed[hit.packed_begin + i] ^= 0x55;
  dir_.Write(kTwoZst, packed);
  const Checkpoint checkpoint = *Checkpoint::Open(dir_.path());
  const TensorExtent& d = *checkpoint.Find("d");
  std::string bytes(d.info.bytes(), '\0');
  const auto read = checkpoint.ReadBytes(d, 0, std::as_writable_bytes(std::span(bytes)));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kReadFailed);
  EXPECT_EQ(read.error().file(), (dir_ / kTwoZst).string());
  EXPECT_EQ(read.error().tensor(), "d");
}

TEST_F(CompressedCheckpointTest, WhatOnlyHasTheNameIsToldByWhatItIs) {
  WriteIndex(kOneZst, kTwoZst);
  dir_.Write(kTwoZst, Compressed(two_));
  dir_.Write(kOneZst, one_);
  EXPECT_EQ(RuleOf(dir_.path()), "unsupported");
  dir_.Write(kOneZst, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
  EXPECT_EQ(RuleOf(dir_.path()), "lfs-pointer");
  dir_.Write(kOneZst, Compressed(one_ + "x"));
  EXPECT_EQ(RuleOf(dir_.path()), "trailing-bytes");
}

}  // namespace
}  // namespace tessera
