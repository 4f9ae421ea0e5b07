#include "convert/output_files.h"

#include "convert/packed_file.h"
#include "formats/page_cache.h"
#include "formats/publish.h"
#include "formats/zstd_frames.h"

namespace tessera {

namespace fs = std::filesystem;

namespace {

Result<void> RemoveFile(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (!error) return {};
  return Fail(SystemError(ErrorCode::kWriteFailed, "removing", path, error.value()));
}

bool IsRegular(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(fs::symlink_status(path, error));
}

// Of a compressed file; nullopt if it is not whole.
std::optional<uint64_t> UnpackedBytes(const fs::path& path) {
  const Result<File> file = File::OpenRead(path);
  if (!file) return std::nullopt;
  const Result<ZstdFrames> frames = ZstdFrames::Read(*file);
  return frames ? std::optional(frames->bytes()) : std::nullopt;
}

}  // namespace

OutputFiles::OutputFiles(const Plan& plan, const RunOptions& options, const OutputFolders& out,
                         size_t open_limit, unsigned packers)
    : plan_(plan),
      options_(options),
      packers_(packers),
      out_(out),
      prepared_(plan.files.size(), false),
      cache_(open_limit, [this](uint32_t file) { return Open(file); }) {}

fs::path OutputFiles::FinalPath(uint32_t file) const {
  return DirOf(file).path() / plan_.files[file].name;
}

fs::path OutputFiles::StagedPath(uint32_t file) const {
  return DirOf(file).staging() / (plan_.files[file].name + ".part");
}

Result<std::shared_ptr<const File>> OutputFiles::Get(uint32_t file) { return cache_.Get(file); }

Result<File> OutputFiles::Open(uint32_t file) {
  const fs::path path = StagedPath(file);
  std::error_code error;
  const bool exists = fs::exists(fs::symlink_status(path, error));
  Result<File> made = exists ? File::OpenWrite(path) : File::Create(path);
  // Another part made it just now.
  if (!made && !exists && fs::exists(path, error)) made = File::OpenWrite(path);
  if (!made) return made;
  File opened = *std::move(made);
  if (exists && fs::hard_link_count(path, error) > 1 && !error) {
    return Fail(Error(ErrorCode::kForeignFile,
                      "a file of the unfinished run has other names, which "
                      "would change with it")
                    .In(path.string())
                    .Next("copy it (not as a hard link) over this name, or remove it, and run the "
                          "same command again"));
  }
  if (!prepared_[file]) {
    const PlanFile& planned = plan_.files[file];
    TESSERA_TRY(opened.Allocate(planned.bytes));
    TESSERA_TRY(opened.WriteAt(0, std::as_bytes(std::span(planned.header))));
    // The journal will speak of its tiles, so its name must survive a power failure too.
    if (!exists) TESSERA_TRY(SyncDirectory(DirOf(file).staging()));
    prepared_[file] = true;
  }
  return opened;
}

Result<void> OutputFiles::Publish(uint32_t file) {
  if (plan_.compress) return PublishPacked(file);
  TESSERA_ASSIGN(const std::shared_ptr<const File> staged, cache_.Get(file));
  TESSERA_TRY(staged->CheckSize(plan_.files[file].bytes));
  TESSERA_TRY(staged->Sync());
  DropSynced(*staged);
  cache_.Drop(file);
  TESSERA_TRY(PublishFile(StagedPath(file), FinalPath(file)));
  return SyncDirectory(DirOf(file).path());
}

// Until the compressed file has its name, the staged one is all there is; then it is of no use.
Result<void> OutputFiles::PublishPacked(uint32_t file) {
  const fs::path path = DirOf(file).staging() / (plan_.files[file].name + ".tmp");
  TESSERA_TRY(RemoveFile(path));
  {
    TESSERA_ASSIGN(const std::shared_ptr<const File> staged, cache_.Get(file));
    TESSERA_TRY(staged->CheckSize(plan_.files[file].bytes));
  }
  cache_.Drop(file);
  {
    // Opened anew, not only because what is written to is not read from: on NFS this is when other
    // machines' parts of it are looked for.
    TESSERA_ASSIGN(const File staged, File::OpenRead(StagedPath(file)));
    TESSERA_ASSIGN(const File packed, File::Create(path));
    TESSERA_ASSIGN(const uint64_t bytes,
                   PackFile(staged, packed, plan_.compress, packers_, UntilStopped()));
    TESSERA_TRY(packed.CheckSize(bytes));
    TESSERA_TRY(packed.Sync());
    DropSynced(packed);
  }
  TESSERA_TRY(PublishFile(path, FinalPath(file)));
  TESSERA_TRY(SyncDirectory(DirOf(file).path()));
  return RemoveFile(StagedPath(file));
}

// The other way round: what is known of the file's tiles holds for what is staged.
Result<void> OutputFiles::UnpackStaged(uint32_t file) const {
  const fs::path path = StagedPath(file);
  TESSERA_TRY(RemoveFile(path));
  TESSERA_ASSIGN(const File packed, File::OpenRead(FinalPath(file)));
  TESSERA_ASSIGN(const File staged, File::Create(path));
  TESSERA_TRY(UnpackFile(packed, staged, UntilStopped()));
  TESSERA_TRY(staged.CheckSize(plan_.files[file].bytes));
  TESSERA_TRY(staged.Sync());
  return SyncDirectory(DirOf(file).staging());
}

bool OutputFiles::IsPublished(uint32_t file) const {
  std::error_code error;
  const fs::path path = FinalPath(file);
  if (!IsRegular(path)) return false;
  const uint64_t bytes = plan_.files[file].bytes;
  if (plan_.compress) return UnpackedBytes(path) == bytes;
  return fs::file_size(path, error) == bytes && !error;
}

OutputFiles::State OutputFiles::Look(uint32_t file) const {
  std::error_code error;
  if (IsPublished(file)) return State::kPublished;
  const fs::path path = StagedPath(file);
  const bool staged =
      IsRegular(path) && fs::file_size(path, error) == plan_.files[file].bytes && !error;
  return staged ? State::kStaged : State::kAbsent;
}

Result<void> OutputFiles::CheckOneName(uint32_t file) const {
  std::error_code error;
  const auto exists = [&](const fs::path& path) {
    return fs::exists(fs::symlink_status(path, error));
  };
  if (!exists(FinalPath(file)) || !exists(StagedPath(file))) return {};
  // A compressed file was given its name, and the run was killed before the staged one went.
  if (plan_.compress && IsPublished(file)) return RemoveFile(StagedPath(file));
  return Fail(Error(ErrorCode::kForeignFile,
                    "a file that this run did not write has the name of one "
                    "that is still being written")
                  .In(FinalPath(file).string())
                  .Next("move it away and run the same command again"));
}

Result<void> OutputFiles::Withdraw(uint32_t file) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(FinalPath(file), error))) return {};
  if (!plan_.compress) {
    TESSERA_TRY(RenameFile(FinalPath(file), StagedPath(file)));
  } else {
    if (IsPublished(file)) TESSERA_TRY(UnpackStaged(file));
    TESSERA_TRY(RemoveFile(FinalPath(file)));
  }
  TESSERA_TRY(SyncDirectory(DirOf(file).path()));
  return SyncDirectory(DirOf(file).staging());
}

}  // namespace tessera
