#include "formats/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "formats/file_chunks.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string Contents(const fs::path& path) {
  const auto contents = ReadWholeFile(path, 1 << 20);
  return contents ? *contents : std::string(Name(contents.error().code()));
}

// Sets a resource limit for a scope.
class ScopedLimit {
 public:
  ScopedLimit(__rlimit_resource which, rlim_t limit) : which_(which) {
    ::getrlimit(which, &before_);
    const rlimit now = {limit, before_.rlim_max};
    ::setrlimit(which, &now);
  }
  ~ScopedLimit() { ::setrlimit(which_, &before_); }

 private:
  __rlimit_resource which_;
  rlimit before_;
};

TEST(File, ReadsEveryRangeAndRefusesPastTheEnd) {
  TempDir dir;
  dir.Write("f", "0123456789");
  const auto file = File::OpenRead(dir / "f");
  ASSERT_TRUE(file);
  for (uint64_t begin = 0; begin <= 12; ++begin) {
    for (uint64_t size = 0; size <= 12; ++size) {
      std::string out(size, '\0');
      const auto read = file->ReadAt(begin, std::as_writable_bytes(std::span(out)));
      if (size == 0 || begin + size <= 10) {
        ASSERT_TRUE(read) << begin << " " << size;
        EXPECT_EQ(out, size == 0 ? "" : std::string("0123456789").substr(begin, size));
      } else {
        ASSERT_FALSE(read) << begin << " " << size;
        EXPECT_EQ(read.error().code(), ErrorCode::kTruncated);
        EXPECT_EQ(read.error().file(), (dir / "f").string());
      }
    }
  }
}

TEST(File, OpensOnlyRegularFilesForReadingAndNeverHangs) {
  TempDir dir;
  dir.Write("f", "x");
  fs::create_symlink("f", dir / "link");
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_TRUE(File::OpenRead(dir / "link"));
  EXPECT_EQ(File::OpenRead(dir / "pipe").error().code(), ErrorCode::kNotRegularFile);
  EXPECT_EQ(File::OpenRead(dir.path()).error().code(), ErrorCode::kNotRegularFile);
  EXPECT_EQ(File::OpenRead(dir / "none").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(File::OpenRead(dir / "f/x").error().code(), ErrorCode::kReadFailed);
}

TEST(File, NeverWritesThroughALinkOrOverAFile) {
  TempDir dir;
  dir.Write("f", "x");
  fs::create_symlink("f", dir / "link");
  fs::create_symlink("new", dir / "dangling");
  for (const char* name : {"f", "link", "dangling"}) EXPECT_FALSE(File::Create(dir / name)) << name;
  EXPECT_FALSE(File::OpenWrite(dir / "link"));
  EXPECT_FALSE(fs::exists(dir / "new"));
  EXPECT_TRUE(File::OpenWrite(dir / "f"));
  EXPECT_EQ(Contents(dir / "f"), "x");
}

TEST(File, WritesAnywhereAndSyncs) {
  TempDir dir;
  const auto file = File::Create(dir / "f");
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->Allocate(6));
  ASSERT_TRUE(file->WriteAt(3, Bytes("def")));
  ASSERT_TRUE(file->WriteAt(0, Bytes("abc")));
  file->StartWriteback(0, 6);
  EXPECT_TRUE(file->SyncData());
  EXPECT_TRUE(file->Sync());
  EXPECT_EQ(file->Identity()->size, 6u);
  EXPECT_EQ(Contents(dir / "f"), "abcdef");
}

TEST(File, IsOpenForWritingOnlyUnlessMoreIsAskedFor) {
  TempDir dir;
  const auto reads = [](const Result<File>& file) {
    std::byte byte{};
    return file && file->WriteAt(0, Bytes("x")) && file->ReadAt(0, std::span(&byte, 1)) &&
           byte == std::byte{'x'};
  };
  EXPECT_FALSE(reads(File::Create(dir / "f")));
  EXPECT_FALSE(reads(File::OpenWrite(dir / "f")));
  EXPECT_EQ(Contents(dir / "f"), "x");
  EXPECT_TRUE(reads(File::Create(dir / "g", File::Access::kReadAndWrite)));
  EXPECT_TRUE(reads(File::OpenWrite(dir / "g", File::Access::kReadAndWrite)));
}

TEST(File, IdentityChangesWithContentTimeAndReplacement) {
  TempDir dir;
  dir.Write("f", "abc");
  const auto identity = [&] { return *File::OpenRead(dir / "f")->Identity(); };
  const FileIdentity first = identity();
  EXPECT_EQ(identity(), first);
  fs::last_write_time(dir / "f", fs::file_time_type::clock::now() - std::chrono::hours(1));
  const FileIdentity older = identity();
  EXPECT_NE(older, first);
  fs::copy_file(dir / "f", dir / "g");
  fs::last_write_time(dir / "g", fs::last_write_time(dir / "f"));
  fs::rename(dir / "g", dir / "f");
  const FileIdentity replaced = identity();
  EXPECT_NE(replaced, older);
  EXPECT_EQ(replaced.mtime_ns, older.mtime_ns);
}

TEST(File, OverTheSizeLimitIsNoSpaceWithARemedy) {
  TempDir dir;
  const auto file = File::Create(dir / "f");
  ASSERT_TRUE(file);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const ScopedLimit limit(RLIMIT_FSIZE, 4096);
  const auto written = file->WriteAt(4090, Bytes("0123456789"));
  const auto allocated = file->Allocate(5000);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
  EXPECT_NE(written.error().next().find("free space"), std::string::npos);
  ASSERT_FALSE(allocated);
  EXPECT_EQ(allocated.error().code(), ErrorCode::kNoSpace);
}

TEST(SystemError, ClassesFollowErrnoForOutputsOnly) {
  const auto code = [](ErrorCode otherwise, int error) {
    return SystemError(otherwise, "doing", "f", error).code();
  };
  for (const int full : {ENOSPC, EDQUOT, EFBIG}) {
    EXPECT_EQ(code(ErrorCode::kWriteFailed, full), ErrorCode::kNoSpace);
    EXPECT_EQ(code(ErrorCode::kReadFailed, full), ErrorCode::kReadFailed);
  }
  for (const int denied : {EACCES, EPERM, EROFS}) {
    EXPECT_EQ(code(ErrorCode::kWriteFailed, denied), ErrorCode::kOutputNotWritable);
    EXPECT_EQ(code(ErrorCode::kReadFailed, denied), ErrorCode::kReadFailed);
  }
  EXPECT_EQ(code(ErrorCode::kWriteFailed, EIO), ErrorCode::kWriteFailed);
}

TEST(WholeFile, IsBounded) {
  TempDir dir;
  dir.Write("f", "0123");
  EXPECT_EQ(ReadWholeFile(dir / "f", 4).value(), "0123");
  EXPECT_EQ(ReadWholeFile(dir / "f", 3).error().code(), ErrorCode::kJsonTooLarge);
  dir.Write("empty", "");
  EXPECT_EQ(ReadWholeFile(dir / "empty", 0).value(), "");
}

TEST(AtomicWrite, ReplacesAFileAndLeavesNothingStaged) {
  TempDir dir;
  dir.Write("f", "old");
  dir.Write("target", "untouched");
  fs::create_symlink("target", dir / "f.tmp");  // as a killed or hostile run may leave it
  ASSERT_TRUE(WriteFileAtomically(dir / "f", "new", dir.path()));
  EXPECT_EQ(Contents(dir / "f"), "new");
  EXPECT_EQ(Contents(dir / "target"), "untouched");
  EXPECT_FALSE(fs::exists(fs::symlink_status(dir / "f.tmp")));
}

TEST(AtomicWrite, FromAnotherFolderReplacesNothing) {
  TempDir dir;
  fs::create_directory(dir / "staging");
  ASSERT_TRUE(WriteFileAtomically(dir / "new", "new", dir / "staging"));
  EXPECT_EQ(Contents(dir / "new"), "new");
  EXPECT_TRUE(fs::is_empty(dir / "staging"));
  dir.Write("file", "theirs");
  fs::create_symlink("nowhere", dir / "link");
  fs::create_directory(dir / "folder");
  for (const char* taken : {"file", "link", "folder"}) {
    EXPECT_EQ(WriteFileAtomically(dir / taken, "new", dir / "staging").error().code(),
              ErrorCode::kForeignFile);
    EXPECT_EQ(
        CopyFileAtomically(dir / "new", dir / taken, dir / "staging", NeverStops).error().code(),
        ErrorCode::kForeignFile);
  }
  EXPECT_EQ(Contents(dir / "file"), "theirs");
  EXPECT_TRUE(fs::is_symlink(dir / "link"));
}

TEST(AtomicWrite, KeepsTheOldFileOnEveryFailure) {
  TempDir dir;
  dir.Write("f", "old");
  EXPECT_FALSE(WriteFileAtomically(dir / "f", "new", dir / "nowhere"));
  EXPECT_EQ(Contents(dir / "f"), "old");
  fs::create_directory(dir / "staging");
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  {
    const ScopedLimit limit(RLIMIT_FSIZE, 2);
    EXPECT_EQ(WriteFileAtomically(dir / "f", "new", dir / "staging").error().code(),
              ErrorCode::kNoSpace);
  }
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(Contents(dir / "f"), "old");
  fs::create_directory(dir / "folder");
  EXPECT_FALSE(WriteFileAtomically(dir / "folder", "new", dir / "staging"));
}

class FileCacheTest : public testing::Test {
 protected:
  FileCacheTest() {
    for (uint32_t i = 0; i < 8; ++i) dir_.Write(std::to_string(i), std::to_string(i));
  }
  FileCache Make(size_t limit) {
    return {limit, [this](uint32_t index) {
              opened_.push_back(index);
              return File::OpenRead(dir_ / std::to_string(index));
            }};
  }
  static char First(const File& file) {
    char c = 0;
    EXPECT_TRUE(file.ReadAt(0, std::as_writable_bytes(std::span(&c, 1))));
    return c;
  }

  TempDir dir_;
  std::vector<uint32_t> opened_;
};

TEST_F(FileCacheTest, EvictsTheLeastRecentlyUsed) {
  FileCache cache = Make(2);
  for (const uint32_t index : {0u, 1u, 0u, 2u, 0u, 1u, 0u}) EXPECT_TRUE(cache.Get(index));
  EXPECT_EQ(opened_, (std::vector<uint32_t>{0, 1, 2, 1}));
}

TEST_F(FileCacheTest, AFileInUseOutlivesItsEviction) {
  FileCache cache = Make(1);
  const auto held = *cache.Get(3);
  EXPECT_EQ(First(**cache.Get(4)), '4');
  EXPECT_EQ(First(*held), '3');
  cache.Drop(4);
  cache.Drop(4);
  EXPECT_EQ(First(**cache.Get(4)), '4');
  EXPECT_EQ(opened_, (std::vector<uint32_t>{3, 4, 4}));
}

TEST_F(FileCacheTest, ALimitOfZeroCountsAsOne) {
  FileCache cache = Make(0);
  EXPECT_TRUE(cache.Get(0));
  EXPECT_TRUE(cache.Get(1));
}

TEST_F(FileCacheTest, AFailureToOpenLeavesTheCacheUsable) {
  FileCache cache = Make(1);
  EXPECT_TRUE(cache.Get(0));
  EXPECT_FALSE(cache.Get(99));
  EXPECT_TRUE(cache.Get(0));
  EXPECT_FALSE(cache.Get(99));
}

TEST_F(FileCacheTest, GivesTheRightFileToManyThreads) {
  FileCache cache = Make(2);
  std::vector<std::jthread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < 500; ++i) {
        const uint32_t index = (i * (t + 1)) % 8;
        const auto file = cache.Get(index);
        ASSERT_TRUE(file);
        EXPECT_EQ(First(**file), static_cast<char>('0' + index));
      }
    });
  }
}

}  // namespace
}  // namespace tessera
