#include "convert/output_lock.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <span>
#include <thread>

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRunLock = "run.lock";
// A shared lock on NFS asks for a file that may be read, an exclusive one for one that may be
// written.
constexpr auto kAccess = File::Access::kReadAndWrite;
constexpr auto kRetry = std::chrono::milliseconds(50);

std::unexpected<Error> HeldBy(const fs::path& path, const std::string& holder) {
  return Fail(Error(ErrorCode::kOutputLocked, "another run is writing this output")
                  .In(path.parent_path().parent_path().string())
                  .Found(holder)
                  .Next("wait for it to end, or give another folder"));
}

std::string HolderOf(const File& file) {
  char text[128] = {};
  const ssize_t got = ::pread(file.descriptor(), text, sizeof text - 1, 0);
  return got > 0 ? "process " + std::string(text) : "a process just starting";
}

// A run that ended meanwhile removed the file that was locked: the lock would guard nothing.
bool IsStillNamed(const File& file) {
  struct stat opened, named;
  return ::fstat(file.descriptor(), &opened) == 0 && ::stat(file.path().c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino;
}

// Whether the lock was to be had.
Result<bool> TryLock(const File& file, int operation) {
  if (::flock(file.descriptor(), operation | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return Fail(SystemError(ErrorCode::kWriteFailed, "locking", file.path(), errno));
}

Result<void> Sign(const File& file) {
  char host[65] = {};
  ::gethostname(host, sizeof host - 1);
  const std::string holder = std::to_string(::getpid()) + " on " + host;
  TESSERA_TRY(file.Allocate(0));
  return file.WriteAt(0, std::as_bytes(std::span(holder)));
}

Result<File> Lock(const fs::path& path, int operation) {
  std::error_code error;
  const bool exists = fs::exists(fs::symlink_status(path, error));
  Result<File> file = exists ? File::OpenWrite(path, kAccess) : File::Create(path, kAccess);
  if (!file) {
    // Created or removed by another run between our look and our open; anything else is an error.
    if (exists != fs::exists(fs::symlink_status(path, error))) {
      return HeldBy(path, "its lock file appeared or went just now");
    }
    return Fail(std::move(file).error());
  }
  TESSERA_ASSIGN(const bool locked, TryLock(*file, operation));
  if (!locked) return HeldBy(path, HolderOf(*file));
  if (!IsStillNamed(*file)) return HeldBy(path, "its lock file went just now");
  TESSERA_TRY(Sign(*file));
  return file;
}

// Parts of another count would do the same work beside ours.
Result<void> CheckNoOtherCount(const fs::path& staging, const RunPart& part) {
  const std::string ours = "-of-" + std::to_string(part.count) + ".lock";
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(staging, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("part-") || !name.ends_with(".lock") || name.ends_with(ours)) continue;
    TESSERA_ASSIGN(const File other, File::OpenWrite(entry.path(), kAccess));
    TESSERA_ASSIGN(const bool free, TryLock(other, LOCK_EX));
    if (!free) return HeldBy(entry.path(), name + ", " + HolderOf(other));
  }
  return {};
}

}  // namespace

Result<OutputLock> OutputLock::Take(const fs::path& staging, const RunPart& part) {
  const fs::path run_path = staging / kRunLock;
  if (part.is_whole()) {
    TESSERA_ASSIGN(File run, Lock(run_path, LOCK_EX));
    OutputLock lock(staging, std::move(run), std::nullopt);
    lock.alone_ = true;
    return lock;
  }
  // Several parts may begin at the same moment, and one of them makes the file.
  Result<File> run = Lock(run_path, LOCK_SH);
  for (int tries = 0; !run && run.error().code() == ErrorCode::kOutputLocked && tries < 20;
       ++tries) {
    std::this_thread::sleep_for(kRetry);
    run = Lock(run_path, LOCK_SH);
  }
  if (!run) return Fail(std::move(run).error());
  TESSERA_ASSIGN(File own, Lock(staging / (part.Name() + ".lock"), LOCK_EX));
  TESSERA_TRY(CheckNoOtherCount(staging, part));
  return OutputLock(staging, *std::move(run), std::move(own));
}

Result<bool> OutputLock::HoldAlone(const StopCheck& check) {
  while (!alone_) {
    TESSERA_TRY(check());
    TESSERA_ASSIGN(alone_, TryLock(*run_, LOCK_EX));
    if (!alone_) std::this_thread::sleep_for(kRetry);
  }
  return IsStillNamed(*run_);
}

void OutputLock::Release() {
  std::error_code error;
  // While they are held: whoever opened one before finds it nameless after.
  if (alone_ && run_ && IsStillNamed(*run_)) {
    for (const auto& entry : fs::directory_iterator(staging_, error)) {
      if (entry.path().extension() == ".lock") fs::remove(entry.path(), error);
    }
  }
  part_.reset();
  run_.reset();
}

}  // namespace tessera
