#include "verify/logits_file.h"

#include "formats/container.h"

namespace tessera {
namespace {

std::filesystem::path Staged(std::filesystem::path path) { return path += ".partial"; }

}  // namespace

Result<LogitsFile> LogitsFile::Create(const std::filesystem::path& path, uint64_t tokens,
                                      uint64_t vocab_size) {
  TESSERA_ASSIGN(const TensorInfo info,
                 TensorInfo::Make("logits", Dtype::kF32, {tokens, vocab_size}));
  const TensorInfo* const tensors[] = {&info};
  TESSERA_ASSIGN(const FileLayout layout, SafetensorsContainer().Layout(tensors));
  std::error_code ignored;
  std::filesystem::remove(Staged(path), ignored);
  TESSERA_ASSIGN(File file, File::Create(Staged(path)));
  LogitsFile logits(std::move(file), path, layout.offsets[0], vocab_size);
  TESSERA_TRY(logits.file_.Allocate(layout.bytes));
  TESSERA_TRY(logits.file_.WriteAt(0, std::as_bytes(std::span(layout.header))));
  return logits;
}

LogitsFile::~LogitsFile() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove(Staged(path_), ignored);
}

Result<void> LogitsFile::WriteRows(uint64_t first, std::span<const float> rows) {
  return file_.WriteAt(data_begin_ + first * vocab_size_ * sizeof(float), std::as_bytes(rows));
}

Result<void> LogitsFile::Publish() {
  TESSERA_TRY(file_.Sync());
  TESSERA_TRY(RenameFile(Staged(path_), path_));
  const std::filesystem::path dir = path_.parent_path();
  path_.clear();
  return SyncDirectory(dir.empty() ? "." : dir);
}

}  // namespace tessera
