#include "convert/preflight.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "formats/file.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

bool Contains(const fs::path& outer, const fs::path& inner) {
  const auto [end, ignored] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end == outer.end();
}

uint64_t AllocatedIn(const fs::path& dir) {
  uint64_t blocks = 0;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(dir, error); !error && it != fs::end(it);
       it.increment(error)) {
    struct stat st;
    if (::lstat(it->path().c_str(), &st) == 0 && S_ISREG(st.st_mode)) {
      blocks += static_cast<uint64_t>(st.st_blocks);
    }
  }
  return blocks * 512;
}

fs::path NearestExisting(fs::path path) {
  std::error_code error;
  path = fs::absolute(path, error);
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

// What is copied beside the shards; config, index and manifest are at most a few times this.
uint64_t SideFileBytes(const Plan& plan) {
  uint64_t bytes = 0;
  for (const std::string& name : plan.side_files) {
    std::error_code error;
    const uint64_t size = fs::file_size(plan.sources[0]->dir() / name, error);
    if (!error) bytes += size;
  }
  return bytes;
}

std::unexpected<Error> Overlap(const fs::path& in, const fs::path& out) {
  return Fail(Error(ErrorCode::kOutputConflict, "the output folder and an input overlap")
                  .Fact("input", in.string())
                  .Fact("output", out.string())
                  .Next("give an output folder that neither holds the input nor lies in it"));
}

Result<void> CheckSourceApart(const fs::path& out, const Checkpoint& source) {
  std::error_code error;
  const fs::path in = fs::weakly_canonical(source.dir(), error);
  if (error) {
    return Fail(SystemError(ErrorCode::kReadFailed, "resolving", source.dir(), error.value()));
  }
  if (Contains(in, out) || Contains(out, in)) return Overlap(in, out);
  // A folder of links has its files elsewhere.
  std::vector<std::string> names(source.side_files().begin(), source.side_files().end());
  names.push_back("config.json");
  for (const Shard& shard : source.shards()) names.push_back(shard.name);
  for (const std::string& name : names) {
    const fs::path file = fs::weakly_canonical(source.dir() / name, error);
    if (!error && Contains(out, file)) return Overlap(file, out);
  }
  return {};
}

}  // namespace

Result<void> CheckApart(const fs::path& out, const Plan& plan) {
  std::error_code error;
  const fs::path resolved = fs::weakly_canonical(out, error);
  if (error) return Fail(SystemError(ErrorCode::kWriteFailed, "resolving", out, error.value()));
  for (const auto& source : plan.sources) TESSERA_TRY(CheckSourceApart(resolved, *source));
  return {};
}

Result<void> CheckSpace(const fs::path& out, const Plan& plan) {
  const fs::path place = NearestExisting(out);
  struct statvfs fs_info;
  if (::statvfs(place.c_str(), &fs_info) != 0) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "statvfs", place, errno));
  }
  if (!fs::is_directory(place)) {
    return Fail(SystemError(ErrorCode::kOutputNotWritable, "making a folder in", place, ENOTDIR));
  }
  if (::access(place.c_str(), W_OK | X_OK) != 0) {
    return Fail(SystemError(ErrorCode::kOutputNotWritable, "writing to", place, errno));
  }
  uint64_t needed = plan.file_bytes + SideFileBytes(plan);
  const uint64_t held = AllocatedIn(out);
  needed -= std::min(needed, held);
  const uint64_t available = uint64_t{fs_info.f_bavail} * fs_info.f_frsize;
  if (needed > available) {
    return Fail(Error(ErrorCode::kNoSpace, "there is not enough space for the output")
                    .In(place.string())
                    .Expected(std::to_string(needed) + " bytes")
                    .Found(std::to_string(available) + " bytes free")
                    .Next("nothing was written"));
  }
  struct rlimit limit;
  const auto largest = std::ranges::max_element(plan.files, {}, &PlanFile::bytes);
  if (largest != plan.files.end() && ::getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
      limit.rlim_cur != RLIM_INFINITY && largest->bytes > limit.rlim_cur) {
    return Fail(Error(ErrorCode::kNoSpace, "a file would be larger than this process may write")
                    .In(largest->name)
                    .Expected(std::to_string(largest->bytes) + " bytes")
                    .Found("a limit of " + std::to_string(limit.rlim_cur) + " bytes (ulimit -f)")
                    .Next("raise the limit, or write smaller files with --shard-size"));
  }
  return {};
}

}  // namespace tessera
