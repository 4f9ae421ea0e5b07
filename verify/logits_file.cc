#include "verify/logits_file.h"

#include "formats/container.h"

namespace tessera {

Result<LogitsFile> LogitsFile::Create(const std::filesystem::path& path, uint64_t tokens,
                                      uint64_t vocab_size) {
  TESSERA_ASSIGN(const TensorInfo info,
                 TensorInfo::Make("logits", Dtype::kF32, {tokens, vocab_size}));
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
