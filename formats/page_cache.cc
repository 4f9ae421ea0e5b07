#include "formats/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace tessera {
namespace {

// What direct I/O must be aligned to, in memory and in the file: no device asks for more.
constexpr uint64_t kBlock = 4096;
// The most that one call reads, so that a signal's wait is short.
constexpr size_t kMaxTransfer = size_t{64} << 20;
// Fewer cached bytes than this among others are not worth a call of their own.
constexpr uint64_t kWorthCopying = uint64_t{256} << 10;

constexpr uint64_t AlignDown(uint64_t n) { return n / kBlock * kBlock; }
constexpr uint64_t AlignUp(uint64_t n) { return AlignDown(n + kBlock - 1); }

uint64_t PageSize() {
  static const auto size = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

// Some pages of a file, all in the cache or all not.
struct Run {
  uint64_t begin, end;  // bytes of the file, at page boundaries
  bool cached;
};

// The kernel calls every page resident, whatever is true, when asked by who may not write the file.
bool MayAskWhatIsCached(const File& file) {
  struct stat st;
  return (::fstat(file.descriptor(), &st) == 0 && st.st_uid == ::geteuid()) ||
         ::faccessat(AT_FDCWD, file.path().c_str(), W_OK, AT_EACCESS) == 0;
}

// The pages that [begin, end) touches. What cannot be found out counts as not cached.
std::vector<Run> CachedRuns(const File& file, uint64_t begin, uint64_t end) {
  const uint64_t page = PageSize(), first = begin / page * page;
  std::vector<unsigned char> resident((end - first + page - 1) / page);
  // Never touched, so a file that shrinks meanwhile does no harm.
  void* const map = ::mmap(nullptr, end - first, PROT_NONE, MAP_SHARED, file.descriptor(),
                           static_cast<off_t>(first));
  const bool told = map != MAP_FAILED && ::mincore(map, end - first, resident.data()) == 0;
  if (map != MAP_FAILED) ::munmap(map, end - first);
  const auto is_cached = [](unsigned char byte) { return (byte & 1) != 0; };
  if (!told || (std::ranges::all_of(resident, is_cached) && !MayAskWhatIsCached(file))) {
    return {{first, first + resident.size() * page, false}};
  }
  std::vector<Run> runs;
  for (size_t i = 0; i < resident.size(); ++i) {
    const uint64_t at = first + i * page;
    if (runs.empty() || runs.back().cached != is_cached(resident[i])) {
      runs.push_back({at, at, is_cached(resident[i])});
    }
    runs.back().end = at + page;
  }
  return runs;
}

// What is best read in one way: few cached bytes between others are read with those.
std::vector<Run> Coarser(const std::vector<Run>& runs) {
  std::vector<Run> coarse;
  for (const Run& run : runs) {
    const bool copied = run.cached && (runs.size() == 1 || run.end - run.begin >= kWorthCopying);
    if (coarse.empty() || coarse.back().cached != copied) {
      coarse.push_back({run.begin, run.begin, copied});
    }
    coarse.back().end = run.end;
  }
  return coarse;
}

// The same file opened once more, for direct I/O; nothing where the file system refuses.
class DirectFile {
 public:
  explicit DirectFile(const File& file)
      : fd_(::open(file.path().c_str(), O_RDONLY | O_DIRECT | O_NONBLOCK | O_CLOEXEC)) {
    struct stat mine, original;
    same_ = fd_ >= 0 && ::fstat(fd_, &mine) == 0 && ::fstat(file.descriptor(), &original) == 0 &&
            mine.st_dev == original.st_dev && mine.st_ino == original.st_ino;
  }
  ~DirectFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;

  // False if it was not to be had, for whatever reason.
  bool Read(uint64_t offset, std::span<std::byte> out) const {
    while (same_ && !out.empty()) {
      const size_t size = std::min(kMaxTransfer, out.size());
      if (!ReadPiece(offset, out.first(size))) return false;
      offset += size;
      out = out.subspan(size);
    }
    return same_;
  }

 private:
  // One call: the blocks at both ends, which `out` has a part of only, into memory of their own.
  bool ReadPiece(uint64_t offset, std::span<std::byte> out) const {
    alignas(kBlock) std::array<std::byte, kBlock> head;
    alignas(kBlock) std::array<std::byte, 2 * kBlock> tail;
    const uint64_t first = AlignDown(offset);
    const size_t in_head = std::min<size_t>(AlignUp(offset) - offset, out.size());
    std::byte* const place = out.data() + in_head;
    const size_t left = out.size() - in_head;
    const uint64_t address = reinterpret_cast<uintptr_t>(place);
    const size_t shift = AlignUp(address) - address;
    const size_t middle = left > shift ? AlignDown(left - shift) : 0;
    const size_t in_tail = left - middle;  // below two blocks
    const std::array<iovec, 3> parts = {{{head.data(), in_head == 0 ? 0 : kBlock},
                                         {middle == 0 ? head.data() : place + shift, middle},
                                         {tail.data(), AlignUp(in_tail)}}};
    const ssize_t got =
        ::preadv(fd_, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(first));
    // Short at the end of the file, which may lie in the last block.
    if (got < static_cast<ssize_t>(offset + out.size() - first)) return false;
    std::memcpy(out.data(), head.data() + (offset - first), in_head);
    std::memmove(place, place + shift, middle);
    std::memcpy(place + middle, tail.data(), in_tail);
    return true;
  }

  int fd_;
  bool same_;
};

}  // namespace

Result<void> ReadPastCache(const File& file, uint64_t offset, std::span<std::byte> out) {
  if (out.empty()) return {};
  const uint64_t end = offset + out.size();
  const std::vector<Run> runs = CachedRuns(file, offset, end);
  if (runs.size() == 1 && runs[0].cached) return file.ReadAt(offset, out);
  const DirectFile direct(file);
  for (const Run& run : Coarser(runs)) {
    const uint64_t from = std::max(offset, run.begin), to = std::min(end, run.end);
    const auto part = out.subspan(from - offset, to - from);
    // What fails is read once more, for an error that says what and where.
    if (run.cached || !direct.Read(from, part)) TESSERA_TRY(file.ReadAt(from, part));
  }
  // Some file systems accept direct I/O, and go through the cache all the same.
  for (const Run& run : runs) {
    if (run.cached) continue;
    ::posix_fadvise(file.descriptor(), static_cast<off_t>(run.begin),
                    static_cast<off_t>(run.end - run.begin), POSIX_FADV_DONTNEED);
  }
  return {};
}

void ReadNothingAhead(const File& file) {
  ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_RANDOM);
}

void DropSynced(const File& file) { ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED); }

}  // namespace tessera
