#include "verify/logits_file.h"

#include "formats/container.h"
#include "formats/safetensors.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "logits";

bool HoldsLogits(const fs::path& path) {
  if (!fs::is_regular_file(fs::symlink_status(path))) return false;
  const Result<File> file = File::OpenRead(path);
  if (!file) return false;
  const Result<SafetensorsHeader> header = ReadSafetensorsHeader(*file);
  return header && header->entries.size() == 1 && header->entries[0].info.name() == kName;
}

Result<void> CheckReplaceable(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::not_found || HoldsLogits(path)) return {};
  return Fail(Error(ErrorCode::kForeignFile, "there is a file or folder that holds no logits")
                  .In(path.string())
                  .Next("Name another file, or remove this one."));
}

}  // namespace

Result<LogitsFile> LogitsFile::Create(const fs::path& path, uint64_t tokens, uint64_t vocab_size) {
  TESSERA_TRY(CheckReplaceable(path));
  TESSERA_ASSIGN(const TensorInfo info, TensorInfo::Make(kName, Dtype::kF32, {tokens, vocab_size}));
  const TensorInfo* const tensors[] = {&info};
  TESSERA_ASSIGN(const FileLayout layout, SafetensorsContainer().Layout(tensors));
  TESSERA_ASSIGN(StagedFile staged, StagedFile::Create(path));
  TESSERA_TRY(staged.file().Allocate(layout.bytes));
  TESSERA_TRY(staged.file().WriteAt(0, std::as_bytes(std::span(layout.header))));
  return LogitsFile(std::move(staged), layout.offsets[0], vocab_size);
}

Result<void> LogitsFile::WriteRows(uint64_t first, std::span<const float> rows) {
  return staged_.file().WriteAt(data_begin_ + first * vocab_size_ * sizeof(float),
                                std::as_bytes(rows));
}

}  // namespace tessera
