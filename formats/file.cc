#include "formats/file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "formats/file_chunks.h"
#include "formats/publish.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

template <class Call>
auto RetryEintr(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

// Linux transfers at most 2^31 - 4096 bytes a call; smaller requests also keep a signal's wait
// short.
constexpr size_t kMaxTransfer = size_t{64} << 20;

int FlagsOf(File::Access access) { return access == File::Access::kWrite ? O_WRONLY : O_RDWR; }

}  // namespace

Error SystemError(ErrorCode otherwise, const std::string& doing, const fs::path& path, int error) {
  ErrorCode code = otherwise;
  std::string next;
  if (ClassOf(otherwise) == ErrorClass::kOutput) {
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
      code = ErrorCode::kNoSpace;
      next = "free space (or raise the quota or file size limit) and run the same command again";
    } else if (error == EACCES || error == EPERM || error == EROFS) {
      code = ErrorCode::kOutputNotWritable;
    }
  }
  return Error(code, doing + " " + path.string() + " failed: " + std::strerror(error))
      .In(path.string())
      .Next(next);
}

Result<File> File::Open(const fs::path& path, int flags, ErrorCode otherwise) {
  const int fd = RetryEintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); });
  if (fd >= 0) return File(fd, path);
  if (otherwise == ErrorCode::kReadFailed && errno == ENOENT) {
    return Fail(Error(ErrorCode::kNotFound, "no such file").In(path.string()));
  }
  return Fail(SystemError(otherwise, "opening", path, errno));
}

Result<File> File::OpenRead(const fs::path& path) {
  // O_NONBLOCK: opening a FIFO somebody left in the folder must not hang.
  TESSERA_ASSIGN(File file, Open(path, O_RDONLY | O_NONBLOCK, ErrorCode::kReadFailed));
  struct stat st;
  if (::fstat(file.fd_, &st) != 0) {
    return Fail(SystemError(ErrorCode::kReadFailed, "fstat", path, errno));
  }
  if (!S_ISREG(st.st_mode)) {
    return Fail(Error(ErrorCode::kNotRegularFile, "not a regular file").In(path.string()));
  }
  return file;
}

Result<File> File::Create(const fs::path& path, Access access) {
  return Open(path, FlagsOf(access) | O_CREAT | O_EXCL | O_NOFOLLOW, ErrorCode::kWriteFailed);
}

Result<File> File::OpenWrite(const fs::path& path, Access access) {
  return Open(path, FlagsOf(access) | O_NOFOLLOW, ErrorCode::kWriteFailed);
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> File::ReadAt(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const size_t want = std::min(out.size(), kMaxTransfer);
    const ssize_t got =
        RetryEintr([&] { return ::pread(fd_, out.data(), want, static_cast<off_t>(offset)); });
    if (got < 0) {
      return Fail(SystemError(ErrorCode::kReadFailed, "reading", path_, errno)
                      .Fact("at", "byte " + std::to_string(offset)));
    }
    if (got == 0) {
      return Fail(Error(ErrorCode::kTruncated, "the file ends too early")
                      .In(path_.string())
                      .Expected(std::to_string(out.size()) + " more bytes")
                      .Found("the end of the file at byte " + std::to_string(offset)));
    }
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return {};
}

Result<void> File::WriteAt(uint64_t offset, std::span<const std::byte> data) const {
  while (!data.empty()) {
    const size_t want = std::min(data.size(), kMaxTransfer);
    const ssize_t put =
        RetryEintr([&] { return ::pwrite(fd_, data.data(), want, static_cast<off_t>(offset)); });
    // Zero is no error by the book, but repeating it would never end.
    if (put <= 0) {
      return Fail(SystemError(ErrorCode::kWriteFailed, "writing", path_, put == 0 ? EIO : errno)
                      .Fact("at", "byte " + std::to_string(offset)));
    }
    offset += static_cast<uint64_t>(put);
    data = data.subspan(static_cast<size_t>(put));
  }
  return {};
}

Result<FileIdentity> File::Identity() const {
  struct stat st;
  if (::fstat(fd_, &st) != 0) {
    return Fail(SystemError(ErrorCode::kReadFailed, "fstat", path_, errno));
  }
  return FileIdentity{.device = st.st_dev,
                      .inode = st.st_ino,
                      .size = static_cast<uint64_t>(st.st_size),
                      .mtime_ns = st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec};
}

Result<void> File::CheckSize(uint64_t bytes) const {
  TESSERA_ASSIGN(const FileIdentity identity, Identity());
  if (identity.size == bytes) return {};
  return Fail(Error(ErrorCode::kWriteFailed, "the file system did not keep what was written")
                  .In(path_.string())
                  .Expected(std::to_string(bytes) + " bytes")
                  .Found(std::to_string(identity.size) + " bytes"));
}

Result<void> File::Allocate(uint64_t size) const {
  const auto length = static_cast<off_t>(size);
  if (RetryEintr([&] { return ::ftruncate(fd_, length); }) != 0) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "setting the size of", path_, errno));
  }
  struct statfs fs_info;
  // In memory, reserving is zeroing: it would cost as much as the writing it precedes.
  const bool in_memory = ::fstatfs(fd_, &fs_info) == 0 && fs_info.f_type == TMPFS_MAGIC;
  if (size == 0 || in_memory) return {};
  // fallocate(2), never posix_fallocate, which writes zeros where the file system cannot reserve.
  if (RetryEintr([&] { return ::fallocate(fd_, 0, 0, length); }) != 0 && errno != EOPNOTSUPP &&
      errno != ENOSYS) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "reserving space for", path_, errno));
  }
  return {};
}

void File::StartWriteback(uint64_t offset, uint64_t size) const {
  ::sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(size),
                    SYNC_FILE_RANGE_WRITE);
}

Result<void> File::SyncData() const {
  if (::fdatasync(fd_) == 0) return {};
  return Fail(SystemError(ErrorCode::kWriteFailed, "fdatasync", path_, errno));
}

Result<void> File::Sync() const {
  if (::fsync(fd_) == 0) return {};
  return Fail(SystemError(ErrorCode::kWriteFailed, "fsync", path_, errno));
}

Result<std::string> ReadWholeFile(const fs::path& path, uint64_t max_bytes) {
  TESSERA_ASSIGN(const File file, File::OpenRead(path));
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  if (identity.size > max_bytes) {
    return Fail(Error(ErrorCode::kJsonTooLarge, "the file is too large to be what its name says")
                    .In(path.string())
                    .Expected("at most " + std::to_string(max_bytes) + " bytes")
                    .Found(std::to_string(identity.size) + " bytes"));
  }
  std::string contents(identity.size, '\0');
  TESSERA_TRY(file.ReadAt(0, std::as_writable_bytes(std::span(contents))));
  return contents;
}

namespace {

// A new file in `staging` that will become `path`. What a killed run left there goes first; unlink
// removes a link, never its target.
Result<File> CreateStaged(const fs::path& path, const fs::path& staging) {
  const fs::path temporary = staging / (path.filename().string() + ".tmp");
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "removing", temporary, errno));
  }
  return File::Create(temporary);
}

Result<void> PublishStaged(const File& file, const fs::path& path, uint64_t bytes) {
  TESSERA_TRY(file.CheckSize(bytes));
  TESSERA_TRY(file.Sync());
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const bool within_staging = folder == file.path().parent_path();
  TESSERA_TRY(within_staging ? RenameFile(file.path(), path) : PublishFile(file.path(), path));
  return SyncDirectory(folder);
}

}  // namespace

Result<void> WriteFileAtomically(const fs::path& path, std::string_view contents,
                                 const fs::path& staging) {
  TESSERA_ASSIGN(const File file, CreateStaged(path, staging));
  TESSERA_TRY(file.WriteAt(0, std::as_bytes(std::span(contents))));
  return PublishStaged(file, path, contents.size());
}

Result<CopiedFile> CopyFileAtomically(const fs::path& from, const fs::path& path,
                                      const fs::path& staging, const StopCheck& check) {
  TESSERA_ASSIGN(const File source, File::OpenRead(from));
  TESSERA_ASSIGN(const File file, CreateStaged(path, staging));
  Xxh3Stream hash;
  const auto copy = [&](uint64_t at, std::span<const std::byte> chunk) {
    hash.Update(chunk);
    return file.WriteAt(at, chunk);
  };
  TESSERA_ASSIGN(const uint64_t bytes, ReadInChunks(source, check, copy));
  TESSERA_TRY(PublishStaged(file, path, bytes));
  return CopiedFile{bytes, hash.Finish()};
}

Result<void> RenameFile(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  return Fail(SystemError(ErrorCode::kWriteFailed, "renaming " + from.string() + " to", to, errno));
}

Result<void> SyncDirectory(const fs::path& dir) {
  const fs::path& place = dir.empty() ? fs::path(".") : dir;
  const int fd =
      RetryEintr([&] { return ::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return Fail(SystemError(ErrorCode::kWriteFailed, "opening", place, errno));
  const int rc = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  if (rc == 0) return {};
  return Fail(SystemError(ErrorCode::kWriteFailed, "fsync", place, error));
}

bool StaysInside(const fs::path& name) {
  return !name.empty() && name.is_relative() &&
         std::ranges::none_of(name, [](const fs::path& part) { return part == ".."; });
}

Result<std::shared_ptr<const File>> FileCache::Get(uint32_t index) {
  const std::scoped_lock lock(mutex_);
  if (const auto it = where_.find(index); it != where_.end()) {
    recent_.splice(recent_.begin(), recent_, it->second);
    return recent_.front().file;
  }
  if (recent_.size() >= limit_) {
    where_.erase(recent_.back().index);
    recent_.pop_back();
  }
  TESSERA_ASSIGN(File file, opener_(index));
  recent_.push_front({index, std::make_shared<const File>(std::move(file))});
  where_[index] = recent_.begin();
  return recent_.front().file;
}

void FileCache::Drop(uint32_t index) {
  const std::scoped_lock lock(mutex_);
  if (const auto it = where_.find(index); it != where_.end()) {
    recent_.erase(it->second);
    where_.erase(it);
  }
}

}  // namespace tessera
