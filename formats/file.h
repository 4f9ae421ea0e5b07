// Files as the rest sees them: positional reads and writes, every error a Result that names the
// file. Read, not mapped: a shard on NFS that shrinks would kill us with SIGBUS instead of giving
// an error.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/hash.h"
#include "formats/result.h"

namespace tessera {

// What must not change while a file is in use.
struct FileIdentity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t mtime_ns = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// An open file. Thread-safe: all access is positional. Closed on destruction; a write error that
// only close(2) would report has been reported by Sync before.
class File {
 public:
  // Follows links (hub caches are made of them); refuses anything but a regular file.
  static Result<File> OpenRead(const std::filesystem::path& path);
  // Never through a link. Creates exclusively, or opens what a former run left. Who only writes
  // does not ask to read: of a file open for both, NFS reads the whole page around what is written
  // and may write all of it back, over what another machine has written beside.
  enum class Access : uint8_t { kWrite, kReadAndWrite };
  static Result<File> Create(const std::filesystem::path& path, Access access = Access::kWrite);
  static Result<File> OpenWrite(const std::filesystem::path& path, Access access = Access::kWrite);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  // Fills `out` from `offset`. A short file is kTruncated, any other failure kReadFailed.
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const;
  Result<void> WriteAt(uint64_t offset, std::span<const std::byte> data) const;
  Result<FileIdentity> Identity() const;
  // kWriteFailed unless the file is exactly this large: a write that lied shows here.
  Result<void> CheckSize(uint64_t bytes) const;
  // Sets the size and reserves the space where that is cheap: kNoSpace now beats kNoSpace
  // later.
  Result<void> Allocate(uint64_t size) const;
  // Starts writing a range back without waiting, so that dirty pages stay few. Best effort.
  void StartWriteback(uint64_t offset, uint64_t size) const;
  // fdatasync / fsync. A failure is final: after one, Linux may have dropped the dirty pages.
  Result<void> SyncData() const;
  Result<void> Sync() const;

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return fd_; }

 private:
  File(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  static Result<File> Open(const std::filesystem::path& path, int flags, ErrorCode otherwise);

  int fd_ = -1;
  std::filesystem::path path_;
};

// Turns errno into an Error: ENOSPC, EDQUOT and EFBIG become kNoSpace, EACCES, EPERM and EROFS
// kOutputNotWritable when `otherwise` is an output error.
Error SystemError(ErrorCode otherwise, const std::string& doing, const std::filesystem::path& path,
                  int error);

// Whole small files. `max_bytes` bounds what a hostile file can make us allocate.
Result<std::string> ReadWholeFile(const std::filesystem::path& path, uint64_t max_bytes);
// Writes NAME.tmp in `staging`, syncs, renames; replaces a file only within `staging` (publish.h).
Result<void> WriteFileAtomically(const std::filesystem::path& path, std::string_view contents,
                                 const std::filesystem::path& staging);
// Asked between the pieces of long work; an error ends it.
using StopCheck = std::function<Result<void>()>;

// Streams `from` (through links) to `path` in the same way; returns size and digest of what was
// copied.
struct CopiedFile {
  uint64_t bytes;
  Digest digest;
};
Result<CopiedFile> CopyFileAtomically(const std::filesystem::path& from,
                                      const std::filesystem::path& path,
                                      const std::filesystem::path& staging, const StopCheck& check);
Result<void> RenameFile(const std::filesystem::path& from, const std::filesystem::path& to);
Result<void> SyncDirectory(const std::filesystem::path& dir);

// Whether a name read from a file, taken relative to a folder, cannot lead out of it.
bool StaysInside(const std::filesystem::path& name);

// Keeps at most `limit` files open, closing the least recently used; users share ownership, so a
// file in use outlives its eviction. Thread-safe.
class FileCache {
 public:
  using Opener = std::function<Result<File>(uint32_t index)>;

  // A limit of 0 counts as 1.
  FileCache(size_t limit, Opener opener)
      : limit_(std::max<size_t>(limit, 1)), opener_(std::move(opener)) {}

  Result<std::shared_ptr<const File>> Get(uint32_t index);
  // Forgets one file, so that it closes when its last user lets go.
  void Drop(uint32_t index);

 private:
  struct Entry {
    uint32_t index;
    std::shared_ptr<const File> file;
  };
  const size_t limit_;
  const Opener opener_;
  std::mutex mutex_;
  std::list<Entry> recent_;  // most recent first
  std::unordered_map<uint32_t, std::list<Entry>::iterator> where_;
};

}  // namespace tessera
