#include "convert/output_files.h"

namespace tessera {

namespace fs = std::filesystem;

OutputFiles::OutputFiles(const Plan& plan, const OutputDir& dir, size_t open_limit)
    : plan_(plan),
      dir_(dir),
      prepared_(plan.files.size(), false),
      cache_(open_limit, [this](uint32_t file) { return Open(file); }) {}

fs::path OutputFiles::FinalPath(uint32_t file) const {
  return dir_.path() / plan_.files[file].name;
}

fs::path OutputFiles::StagedPath(uint32_t file) const {
  return dir_.staging() / (plan_.files[file].name + ".part");
}

Result<std::shared_ptr<const File>> OutputFiles::Get(uint32_t file) { return cache_.Get(file); }

Result<File> OutputFiles::Open(uint32_t file) {
  const fs::path path = StagedPath(file);
  std::error_code error;
  const bool exists = fs::exists(fs::symlink_status(path, error));
  TESSERA_ASSIGN(File opened, exists ? File::OpenWrite(path) : File::Create(path));
  if (!prepared_[file]) {
    const PlanFile& planned = plan_.files[file];
    TESSERA_TRY(opened.Allocate(planned.bytes));
    TESSERA_TRY(opened.WriteAt(0, std::as_bytes(std::span(planned.header))));
    prepared_[file] = true;
  }
  return opened;
}

Result<void> OutputFiles::Publish(uint32_t file) {
  TESSERA_ASSIGN(const std::shared_ptr<const File> staged, cache_.Get(file));
  TESSERA_TRY(staged->CheckSize(plan_.files[file].bytes));
  TESSERA_TRY(staged->Sync());
  cache_.Drop(file);
  TESSERA_TRY(RenameFile(StagedPath(file), FinalPath(file)));
  return SyncDirectory(dir_.path());
}

Result<void> OutputFiles::Recover(uint32_t file, bool any_recorded, bool all_recorded) {
  std::error_code error;
  const bool staged = fs::exists(fs::symlink_status(StagedPath(file), error));
  const bool published = fs::exists(fs::symlink_status(FinalPath(file), error));
  if (all_recorded && published) {
    TESSERA_ASSIGN(const File whole, File::OpenRead(FinalPath(file)));
    return whole.CheckSize(plan_.files[file].bytes);
  }
  if (published || (any_recorded && !staged)) {
    return Fail(
        Error(ErrorCode::kDamagedJournal, "the unfinished run's files do not match its journal")
            .In(FinalPath(file).string())
            .Expected(published ? "not there yet" : StagedPath(file).string())
            .Next("add --force to throw the unfinished run away and begin anew"));
  }
  return all_recorded ? Publish(file) : Result<void>();
}

}  // namespace tessera
