#include "formats/staged_file.h"

namespace tessera {
namespace {

std::filesystem::path Staged(std::filesystem::path path) { return path += ".partial"; }

}  // namespace

Result<StagedFile> StagedFile::Create(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::remove(Staged(path), ignored);
  TESSERA_ASSIGN(File file, File::Create(Staged(path)));
  return StagedFile(std::move(file), path);
}

StagedFile::~StagedFile() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove(Staged(path_), ignored);
}

Result<void> StagedFile::Publish() {
  TESSERA_TRY(file_.Sync());
  TESSERA_TRY(RenameFile(Staged(path_), path_));
  const std::filesystem::path dir = path_.parent_path();
  path_.clear();
  return SyncDirectory(dir.empty() ? "." : dir);
}

}  // namespace tessera
