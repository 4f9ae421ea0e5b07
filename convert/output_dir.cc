#include "convert/output_dir.h"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "formats/manifest.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

// Names for part 1 of 1: splitting a run over machines will add others beside it.
constexpr std::string_view kPart = "part-1-of-1";
constexpr uint64_t kMaxNamesBytes = uint64_t{256} << 20;

// Every path, relative to OUT, that the plan ends in.
std::vector<std::string> FinalNames(const Plan& plan) {
  std::vector<std::string> names = {"config.json", std::string(kManifestName)};
  if (!plan.index_name.empty()) names.push_back(plan.index_name);
  for (const PlanFile& file : plan.files) names.push_back(file.name);
  names.insert(names.end(), plan.side_files.begin(), plan.side_files.end());
  return names;
}

// Files and links below `dir`, relative to it; folders only when they are empty.
Result<std::vector<std::string>> ListTree(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(dir, error); it != fs::end(it);
       it.increment(error)) {
    if (error) break;
    if (it.depth() == 0 && it->path().filename() == ".partial") {
      it.disable_recursion_pending();
      continue;
    }
    const bool folder = !it->is_symlink(error) && it->is_directory(error);
    if (!folder || fs::is_empty(it->path(), error)) {
      names.push_back(it->path().lexically_relative(dir).string());
    }
  }
  if (error) return Fail(SystemError(ErrorCode::kWriteFailed, "listing", dir, error.value()));
  std::ranges::sort(names);
  return names;
}

bool Contains(const fs::path& outer, const fs::path& inner) {
  const auto [end, ignored] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end == outer.end();
}

Result<void> CheckApart(const fs::path& out, const Plan& plan) {
  std::error_code error;
  const fs::path resolved = fs::weakly_canonical(out, error);
  if (error) return Fail(SystemError(ErrorCode::kWriteFailed, "resolving", out, error.value()));
  for (const auto& source : plan.sources) {
    const fs::path in = fs::weakly_canonical(source->dir(), error);
    if (error)
      return Fail(SystemError(ErrorCode::kReadFailed, "resolving", source->dir(), error.value()));
    if (Contains(in, resolved) || Contains(resolved, in)) {
      return Fail(Error(ErrorCode::kOutputConflict, "the output folder and an input folder overlap")
                      .Fact("input", in.string())
                      .Fact("output", resolved.string())
                      .Next("give an output folder that neither holds the input nor lies in it"));
    }
  }
  return {};
}

std::vector<std::string> NamesIn(const Manifest& manifest) {
  std::vector<std::string> names = {std::string(kManifestName)};
  for (const ManifestFile& file : manifest.files) names.push_back(file.name);
  for (const ManifestSideFile& file : manifest.side_files) names.push_back(file.name);
  return names;
}

std::string Some(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(names.size(), 5); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > 5) text += " and " + std::to_string(names.size() - 5) + " more";
  return text;
}

// The sizes that the manifest promises, without reading contents.
bool SizesHold(const fs::path& out, const Manifest& manifest) {
  std::error_code error;
  const auto holds = [&](const auto& file) {
    return fs::is_regular_file(fs::symlink_status(out / file.name, error)) &&
           fs::file_size(out / file.name, error) == file.bytes && !error;
  };
  return std::ranges::all_of(manifest.files, holds) &&
         std::ranges::all_of(manifest.side_files, holds);
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

// What a plan leaves out because it must not reach output bytes: when the inputs were last
// modified.
Digest InputState(const Plan& plan) {
  Xxh3Stream hash;
  for (const auto& source : plan.sources) {
    for (const Shard& shard : source->shards()) {
      hash.Update(shard.identity.size);
      hash.Update(static_cast<uint64_t>(shard.identity.mtime_ns));
    }
  }
  return hash.Finish();
}

fs::path NearestExisting(fs::path path) {
  std::error_code error;
  path = fs::absolute(path, error);
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

}  // namespace

Result<OutputDir> OutputDir::Open(const fs::path& out, const Plan& plan, bool force) {
  OutputDir dir(out);
  if (dir.out_.filename().empty()) dir.out_ = dir.out_.parent_path();  // "OUT/"
  TESSERA_TRY(CheckApart(dir.out_, plan));
  TESSERA_TRY(dir.Inspect(plan, force));
  std::error_code error;
  // Finished with the staging folder still there: a run died at its very last act, which is ours
  // now.
  if (dir.finished_ && !fs::exists(dir.staging(), error)) return dir;
  if (!dir.finished_) TESSERA_TRY(dir.CheckSpace(plan));

  fs::create_directories(dir.staging(), error);
  if (error)
    return Fail(SystemError(ErrorCode::kWriteFailed, "making", dir.staging(), error.value()));
  TESSERA_TRY(dir.Lock());
  // Once more, now that nobody else can change it.
  TESSERA_TRY(dir.Inspect(plan, force));
  if (dir.finished_) {
    TESSERA_TRY(dir.Close());
    return dir;
  }
  if (dir.replace_) TESSERA_TRY(dir.Clear());

  TESSERA_ASSIGN(dir.journal_, Journal::Open(dir.staging() / (std::string(kPart) + ".journal"),
                                             {.plan = plan.hash, .inputs = InputState(plan)}));
  std::ostringstream names;
  for (const std::string& name : FinalNames(plan)) names << name << '\n';
  TESSERA_TRY(WriteFileAtomically(dir.staging() / (std::string(kPart) + ".names"), names.str(),
                                  dir.staging()));
  return dir;
}

// Sets finished_, replace_ and ours_, or says why OUT cannot be used.
Result<void> OutputDir::Inspect(const Plan& plan, bool force) {
  finished_ = replace_ = false;
  ours_.clear();
  std::error_code error;
  const fs::file_status status = fs::symlink_status(out_, error);
  if (!fs::exists(status)) return {};
  if (!fs::is_directory(status)) {
    return Fail(
        Error(ErrorCode::kOutputConflict, "the output must be a folder, not a file or a link")
            .In(out_.string()));
  }
  TESSERA_ASSIGN(const std::vector<std::string> present, ListTree(out_));
  const bool unfinished = fs::exists(staging(), error);
  const bool sealed = std::ranges::binary_search(present, std::string(kManifestName));
  bool same_plan = false;
  if (sealed) {
    TESSERA_ASSIGN(const Manifest manifest, ReadManifest(out_));
    ours_ = NamesIn(manifest);
    same_plan = manifest.plan == plan.hash;
    finished_ = same_plan && !force && SizesHold(out_, manifest);
    if (!same_plan && !force) {
      return Fail(
          Error(ErrorCode::kPlanMismatch, "the output folder holds the result of another plan")
              .In(out_.string())
              .Expected(ToHex(plan.hash) + " (this command)")
              .Found(ToHex(manifest.plan) + " (the finished run)")
              .Next("give another folder, or --force to replace it"));
    }
  }
  const fs::path names_file = staging() / (std::string(kPart) + ".names");
  if (unfinished && fs::exists(names_file, error)) {
    TESSERA_ASSIGN(const std::string text, ReadWholeFile(names_file, kMaxNamesBytes));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) ours_.push_back(line);
  }
  std::ranges::sort(ours_);
  std::vector<std::string> foreign;
  std::ranges::set_difference(present, ours_, std::back_inserter(foreign));
  if (!foreign.empty()) {
    return Fail(
        Error(ErrorCode::kForeignFile, "the output folder holds files that tessera did not write")
            .In(out_.string())
            .Found(Some(foreign))
            .Next("give an empty or new folder"));
  }
  replace_ = force && (sealed || unfinished);
  if (sealed && same_plan && !finished_ && !force && !unfinished) {
    return Fail(
        Error(ErrorCode::kPlanMismatch, "the output was finished, but files in it changed since")
            .In(out_.string())
            .Next("see what with: tessera verify OUT; make it anew with --force"));
  }
  return {};
}

Result<void> OutputDir::CheckSpace(const Plan& plan) const {
  const fs::path place = NearestExisting(out_);
  struct statvfs fs_info;
  if (::statvfs(place.c_str(), &fs_info) != 0) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "statvfs", place, errno));
  }
  if (::access(place.c_str(), W_OK | X_OK) != 0) {
    return Fail(SystemError(ErrorCode::kOutputNotWritable, "writing to", place, errno));
  }
  uint64_t needed = plan.file_bytes;
  const uint64_t held = AllocatedIn(out_);
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

Result<void> OutputDir::Lock() {
  const fs::path path = staging() / (std::string(kPart) + ".lock");
  std::error_code error;
  const bool exists = fs::exists(fs::symlink_status(path, error));
  Result<File> file = exists ? File::OpenWrite(path) : File::Create(path);
  const auto held = [&](const std::string& by) {
    return Fail(Error(ErrorCode::kOutputLocked, "another run is writing this output")
                    .In(out_.string())
                    .Found(by)
                    .Next("wait for it to end, or give another folder"));
  };
  // Created or removed by another run between our look and our open.
  if (!file) return held("its lock file appeared or went just now");
  char holder[32] = {};
  if (::flock(file->descriptor(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return Fail(SystemError(ErrorCode::kWriteFailed, "locking", path, errno));
    }
    const ssize_t got = ::pread(file->descriptor(), holder, sizeof holder - 1, 0);
    return held(got > 0 ? "process " + std::string(holder) : "a process just starting");
  }
  // A run that ended meanwhile removed the file we locked: the lock would guard nothing.
  struct stat opened, named;
  if (::fstat(file->descriptor(), &opened) != 0 || ::stat(path.c_str(), &named) != 0 ||
      opened.st_ino != named.st_ino) {
    return held("its lock file went just now");
  }
  TESSERA_TRY(file->Allocate(0));
  const std::string pid = std::to_string(::getpid());
  TESSERA_TRY(file->WriteAt(0, std::as_bytes(std::span(pid))));
  lock_ = *std::move(file);
  return {};
}

// Throws an earlier run's work away: first what says that it is whole, then the rest.
Result<void> OutputDir::Clear() {
  std::error_code error;
  std::ranges::stable_partition(ours_, [](const std::string& name) {
    return name == kManifestName || name.ends_with(".index.json");
  });
  for (const std::string& name : ours_) {
    fs::remove(out_ / name, error);
    if (error)
      return Fail(SystemError(ErrorCode::kWriteFailed, "removing", out_ / name, error.value()));
  }
  for (const auto& entry : fs::directory_iterator(staging(), error)) {
    if (entry.path().extension() == ".lock") continue;
    fs::remove_all(entry.path(), error);
    if (error)
      return Fail(SystemError(ErrorCode::kWriteFailed, "removing", entry.path(), error.value()));
  }
  return SyncDirectory(out_);
}

Result<void> OutputDir::Close() {
  std::error_code error;
  fs::remove_all(staging(), error);
  if (error)
    return Fail(SystemError(ErrorCode::kWriteFailed, "removing", staging(), error.value()));
  lock_.reset();
  return SyncDirectory(out_);
}

}  // namespace tessera
