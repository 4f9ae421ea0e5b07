#include "convert/output_files.h"

#include "formats/page_cache.h"
#include "formats/publish.h"

namespace tessera {

namespace fs = std::filesystem;

OutputFiles::OutputFiles(const Plan& plan, const OutputFolders& out, size_t open_limit)
    : plan_(plan),
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
  TESSERA_ASSIGN(const std::shared_ptr<const File> staged, cache_.Get(file));
  TESSERA_TRY(staged->CheckSize(plan_.files[file].bytes));
  TESSERA_TRY(staged->Sync());
  DropSynced(*staged);
  cache_.Drop(file);
  TESSERA_TRY(PublishFile(StagedPath(file), FinalPath(file)));
  return SyncDirectory(DirOf(file).path());
}

OutputFiles::State OutputFiles::Look(uint32_t file) const {
  const auto whole = [&](const fs::path& path) {
    std::error_code error;
    return fs::is_regular_file(fs::symlink_status(path, error)) &&
           fs::file_size(path, error) == plan_.files[file].bytes && !error;
  };
  if (whole(FinalPath(file))) return State::kPublished;
  return whole(StagedPath(file)) ? State::kStaged : State::kAbsent;
}

Result<void> OutputFiles::CheckOneName(uint32_t file) const {
  std::error_code error;
  const auto exists = [&](const fs::path& path) {
    return fs::exists(fs::symlink_status(path, error));
  };
  if (!exists(FinalPath(file)) || !exists(StagedPath(file))) return {};
  return Fail(Error(ErrorCode::kForeignFile,
                    "a file that this run did not write has the name of one "
                    "that is still being written")
                  .In(FinalPath(file).string())
                  .Next("move it away and run the same command again"));
}

Result<void> OutputFiles::Withdraw(uint32_t file) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(FinalPath(file), error))) return {};
  TESSERA_TRY(RenameFile(FinalPath(file), StagedPath(file)));
  TESSERA_TRY(SyncDirectory(DirOf(file).path()));
  return SyncDirectory(DirOf(file).staging());
}

}  // namespace tessera
