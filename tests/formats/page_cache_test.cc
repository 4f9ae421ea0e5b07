#include "formats/page_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPage = 4096;

std::string Text(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  return text;
}

// Which pages of a file are in the cache, as 'x' and '.'.
std::string Cached(const File& file) {
  const size_t size = file.Identity()->size;
  std::vector<unsigned char> resident((size + kPage - 1) / kPage);
  void* const map = ::mmap(nullptr, size, PROT_NONE, MAP_SHARED, file.descriptor(), 0);
  EXPECT_EQ(::mincore(map, size, resident.data()), 0);
  ::munmap(map, size);
  std::string pages;
  for (const unsigned char page : resident) pages += (page & 1) != 0 ? 'x' : '.';
  return pages;
}

void ForgetAll(const File& file) {
  ASSERT_TRUE(file.Sync());
  ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
}

// A file of which nothing is cached.
class PageCache : public testing::Test {
 protected:
  void SetUp() override {
    if (::sysconf(_SC_PAGESIZE) != static_cast<long>(kPage))
      GTEST_SKIP() << "pages of another size";
    MakeFile(1 << 20);
    if (Cached(*file_).contains('x')) GTEST_SKIP() << "a file system in memory";
    const int direct = ::open((dir_ / "f").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (direct < 0) GTEST_SKIP() << "a file system without direct I/O";
    ::close(direct);
  }

  void MakeFile(size_t size) {
    text_ = Text(size);
    dir_.Write("f", text_);
    auto file = File::OpenRead(dir_ / "f");
    ASSERT_TRUE(file);
    file_.emplace(*std::move(file));
    ReadNothingAhead(*file_);
    ForgetAll(*file_);
  }

  // Pages [begin, end) into the cache.
  void Warm(size_t begin, size_t end) {
    std::string out((end - begin) * kPage, '\0');
    ASSERT_TRUE(file_->ReadAt(begin * kPage, std::as_writable_bytes(std::span(out))));
  }

  // Reads into memory at `misaligned`, and checks what was read and that nothing else was touched.
  void ExpectRead(size_t offset, size_t size, size_t misaligned) {
    std::vector<std::byte> memory(size + 2 * kPage, std::byte{0xEE});
    const auto address = reinterpret_cast<uintptr_t>(memory.data());
    const size_t at = (kPage - address % kPage) % kPage + misaligned;
    const auto out = std::span(memory).subspan(at, size);
    const auto read = ReadPastCache(*file_, offset, out);
    ASSERT_TRUE(read) << offset << " " << size << " " << read.error().what();
    ASSERT_TRUE(std::ranges::equal(out, std::as_bytes(std::span(text_)).subspan(offset, size)))
        << offset << " " << size << " " << misaligned;
    const auto untouched = [](std::byte byte) { return byte == std::byte{0xEE}; };
    ASSERT_TRUE(
        std::all_of(memory.begin(), memory.begin() + static_cast<ptrdiff_t>(at), untouched));
    ASSERT_TRUE(
        std::all_of(memory.begin() + static_cast<ptrdiff_t>(at + size), memory.end(), untouched));
  }

  TempDir dir_;
  std::string text_;
  std::optional<File> file_;
};

TEST_F(PageCache, EveryRangeIsReadWhateverItsEndsAndTheMemoryItGoesTo) {
  MakeFile(6 * kPage + 123);
  Warm(2, 3);
  const std::string before = Cached(*file_);
  const size_t edges[] = {0, 1, 8, 511, 512, 2048, 4088, 4095};
  const size_t places[] = {0, 1, 8, 512, 4088};
  for (size_t begin_page = 0; begin_page < 2; ++begin_page) {
    for (const size_t begin_in : edges) {
      for (size_t end_page = begin_page; end_page < 7; ++end_page) {
        for (const size_t end_in : edges) {
          const size_t begin = begin_page * kPage + begin_in, end = end_page * kPage + end_in;
          if (end < begin || end > text_.size()) continue;
          for (const size_t misaligned : places) {
            ExpectRead(begin, end - begin, misaligned);
          }
        }
      }
    }
  }
  ExpectRead(0, text_.size(), 0);
  ExpectRead(text_.size() - 1, 1, 0);
  EXPECT_EQ(Cached(*file_), before);
}

TEST_F(PageCache, WhatWasCachedStaysAndTheRestStaysOut) {
  for (const auto& [begin, end] :
       {std::pair<size_t, size_t>{0, 0}, {10, 11}, {100, 180}, {0, 256}}) {
    ForgetAll(*file_);
    Warm(begin, end);
    const std::string before = Cached(*file_);
    EXPECT_EQ(static_cast<size_t>(std::ranges::count(before, 'x')), end - begin);
    ExpectRead(8, text_.size() - 8, 0);
    EXPECT_EQ(Cached(*file_), before);
  }
}

TEST_F(PageCache, WithoutDirectReadingBytesAndMannersAreTheSame) {
  // It opens the file by its path.
  fs::rename(dir_ / "f", dir_ / "elsewhere");
  Warm(100, 180);
  const std::string before = Cached(*file_);
  ExpectRead(8, text_.size() - 8, 0);
  EXPECT_EQ(Cached(*file_), before);
  dir_.Write("f", std::string(text_.size(), 'z'));
  ExpectRead(8, text_.size() - 8, 0);
  EXPECT_EQ(Cached(*file_), before);
}

TEST_F(PageCache, PastTheEndIsTheErrorOfAnyRead) {
  std::string out(100, '\0');
  const size_t beyond[] = {1, 99, 100, 5000};
  for (const size_t past : beyond) {
    const auto read =
        ReadPastCache(*file_, text_.size() - 100 + past, std::as_writable_bytes(std::span(out)));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), ErrorCode::kTruncated);
    EXPECT_EQ(read.error().file(), (dir_ / "f").string());
  }
}

TEST_F(PageCache, WhatIsSyncedIsDropped) {
  const auto file = File::Create(dir_ / "out");
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->WriteAt(0, std::as_bytes(std::span(text_))));
  const auto read = File::OpenRead(dir_ / "out");
  ASSERT_TRUE(read);
  EXPECT_EQ(Cached(*read), std::string(256, 'x'));
  ASSERT_TRUE(file->Sync());
  DropSynced(*file);
  EXPECT_EQ(Cached(*read), std::string(256, '.'));
  EXPECT_EQ(*ReadWholeFile(dir_ / "out", 1 << 20), text_);
}

}  // namespace
}  // namespace tessera
