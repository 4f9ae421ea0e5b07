#include "convert/preflight.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "formats/file.h"
#include "formats/zstd_frames.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

bool Contains(const fs::path& outer, const fs::path& inner) {
  const auto [end, ignored] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end == outer.end();
}

uint64_t BlocksOf(const fs::path& path) {
  struct stat st;
  const bool is_file = ::lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
  return is_file ? static_cast<uint64_t>(st.st_blocks) : 0;
}

uint64_t AllocatedIn(const fs::path& dir) {
  uint64_t blocks = 0;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(dir, error); !error && it != fs::end(it);
       it.increment(error)) {
    blocks += BlocksOf(it->path());
  }
  return blocks * 512;
}

// What an unfinished run, or one that is to be replaced, holds of this output.
uint64_t AllocatedFor(const fs::path& out, uint32_t folder, const Plan& plan) {
  if (plan.folders[folder].file.empty()) return AllocatedIn(out);
  uint64_t bytes = AllocatedIn(out / plan.folders[folder].staging_name());
  for (const PlanFile& file : plan.files) bytes += BlocksOf(out / file.name) * 512;
  return bytes;
}

fs::path NearestExisting(fs::path path) {
  std::error_code error;
  path = fs::absolute(path, error);
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

// Shards and what is copied beside them; config, index and manifest are at most a few times that.
uint64_t BytesOf(uint32_t folder, const Plan& plan) {
  uint64_t bytes = 0;
  uint64_t largest = 0;
  for (const PlanFile& file : plan.files) {
    if (file.folder != folder) continue;
    bytes += plan.compress ? ZstdBound(file.bytes) : file.bytes;
    largest = std::max(largest, file.bytes);
  }
  // What is being compressed is there twice.
  if (plan.compress) bytes += largest;
  for (const std::string& name : plan.folders[folder].side_files) {
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
  // GGUF files do not fill a folder: others, and outputs, may lie beside them.
  const bool fills_folder = source.gguf_metadata() == nullptr;
  if ((fills_folder && Contains(in, out)) || Contains(out, in)) return Overlap(in, out);
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

// The file system that `out` lies in, or will lie in.
struct Volume {
  fs::path place;
  dev_t device = 0;
  uint64_t available = 0, needed = 0;
};

Result<Volume> VolumeOf(const fs::path& out) {
  Volume volume{.place = NearestExisting(out)};
  struct statvfs fs_info;
  struct stat st;
  if (::statvfs(volume.place.c_str(), &fs_info) != 0 || ::stat(volume.place.c_str(), &st) != 0) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "statvfs", volume.place, errno));
  }
  if (!S_ISDIR(st.st_mode)) {
    return Fail(
        SystemError(ErrorCode::kOutputNotWritable, "making a folder in", volume.place, ENOTDIR));
  }
  if (::access(volume.place.c_str(), W_OK | X_OK) != 0) {
    return Fail(SystemError(ErrorCode::kOutputNotWritable, "writing to", volume.place, errno));
  }
  volume.device = st.st_dev;
  volume.available = uint64_t{fs_info.f_bavail} * fs_info.f_frsize;
  return volume;
}

Result<void> CheckFileSizes(const Plan& plan) {
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

}  // namespace

Result<void> CheckApart(std::span<const fs::path> outs, const Plan& plan) {
  std::vector<fs::path> resolved;
  for (uint32_t folder = 0; folder < outs.size(); ++folder) {
    const fs::path& out = outs[folder];
    std::error_code error;
    // Absolute first: a relative path that is not there yet would stay relative.
    fs::path path = fs::weakly_canonical(fs::absolute(out, error), error);
    if (error) return Fail(SystemError(ErrorCode::kWriteFailed, "resolving", out, error.value()));
    if (path.filename().empty()) path = path.parent_path();  // "OUT/"
    path /= plan.folders[folder].file;
    if (path.filename().empty()) path = path.parent_path();
    resolved.push_back(std::move(path));
    for (const auto& source : plan.sources) {
      TESSERA_TRY(CheckSourceApart(resolved.back(), *source));
    }
    for (const fs::path& other : std::span(resolved).first(resolved.size() - 1)) {
      if (!Contains(other, resolved.back()) && !Contains(resolved.back(), other)) continue;
      return Fail(Error(ErrorCode::kOutputConflict, "the output folders overlap")
                      .Fact("one", other.string())
                      .Fact("other", resolved.back().string())
                      .Next("give two folders of which neither holds the other"));
    }
  }
  return {};
}

Result<void> CheckSpace(std::span<const fs::path> outs, const Plan& plan) {
  std::vector<Volume> volumes;
  for (uint32_t folder = 0; folder < outs.size(); ++folder) {
    TESSERA_ASSIGN(const Volume found, VolumeOf(outs[folder]));
    auto volume = std::ranges::find(volumes, found.device, &Volume::device);
    if (volume == volumes.end()) volume = volumes.insert(volumes.end(), found);
    const uint64_t bytes = BytesOf(folder, plan);
    volume->needed += bytes - std::min(bytes, AllocatedFor(outs[folder], folder, plan));
  }
  for (const Volume& volume : volumes) {
    if (volume.needed <= volume.available) continue;
    return Fail(Error(ErrorCode::kNoSpace, "there is not enough space for the output")
                    .In(volume.place.string())
                    .Expected(std::to_string(volume.needed) + " bytes")
                    .Found(std::to_string(volume.available) + " bytes free")
                    .Next("nothing was written"));
  }
  return CheckFileSizes(plan);
}

}  // namespace tessera
