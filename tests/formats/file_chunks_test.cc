#include "formats/file_chunks.h"

#include <gtest/gtest.h>

#include <string>

#include "formats/interruption.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

File FileOf(const TempDir& dir, const std::string& contents) {
  const auto path = dir.path() / std::to_string(contents.size());
  EXPECT_TRUE(WriteFileAtomically(path, contents, dir.path()));
  return *File::OpenRead(path);
}

TEST(FileChunks, EveryByteComesOnceAndInOrder) {
  const TempDir dir;
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, kMiB - 1, kMiB, kMiB + 1, 3 * kMiB}) {
    std::string contents(size, '\0'), seen;
    for (uint64_t i = 0; i < size; ++i) contents[i] = static_cast<char>(i * 7 >> 3);
    const auto keep = [&](uint64_t offset, std::span<const std::byte> chunk) {
      EXPECT_EQ(offset, seen.size());
      seen.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
      return Result<void>();
    };
    const Result<uint64_t> read = ReadInChunks(FileOf(dir, contents), NeverStops, keep);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, size);
    EXPECT_TRUE(seen == contents) << size;
  }
}

TEST(FileChunks, AnErrorOfEitherSideEndsIt) {
  const TempDir dir;
  const File file = FileOf(dir, std::string(3 * kMiB, 'x'));
  int asked = 0, used = 0;
  const auto stop = [&]() -> Result<void> {
    if (++asked == 2) return Fail(InterruptedBy(SIGTERM));
    return {};
  };
  const auto use = [&](uint64_t, std::span<const std::byte>) -> Result<void> {
    if (++used == 2) return Fail(ErrorCode::kWriteFailed, "full");
    return {};
  };
  const Result<uint64_t> stopped = ReadInChunks(file, stop, use);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), ErrorCode::kTerminated);
  EXPECT_EQ(used, 1);
  const Result<uint64_t> failed = ReadInChunks(file, NeverStops, use);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::kWriteFailed);
}

}  // namespace
}  // namespace tessera
