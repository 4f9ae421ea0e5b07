#include "formats/publish.h"

#include <fcntl.h>
#include <stdio.h>  // renameat2

#include <cerrno>

#include "formats/file.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> Taken(const fs::path& to) {
  return Fail(Error(ErrorCode::kForeignFile,
                    "a file appeared under a name that this run was about "
                    "to give")
                  .In(to.string())
                  .Next("move it away and run the same command again"));
}

}  // namespace

Result<void> PublishFile(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EEXIST) return Taken(to);
  // EINVAL: the file system does not know the flag.
  if (errno != EINVAL && errno != ENOSYS) {
    return Fail(
        SystemError(ErrorCode::kWriteFailed, "renaming " + from.string() + " to", to, errno));
  }
  std::error_code error;
  if (fs::exists(fs::symlink_status(to, error))) return Taken(to);
  return RenameFile(from, to);
}

}  // namespace tessera
