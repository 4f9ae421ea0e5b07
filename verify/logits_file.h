// A safetensors file with one F32 tensor `logits` [tokens, vocab], written as rows come and there
// under its name only when whole.
#pragma once

#include <filesystem>
#include <span>

#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

class LogitsFile {
 public:
  // Writes beside `path` until Publish; what another run left there is replaced.
  static Result<LogitsFile> Create(const std::filesystem::path& path, uint64_t tokens,
                                   uint64_t vocab_size);
  LogitsFile(LogitsFile&&) noexcept = default;
  LogitsFile& operator=(LogitsFile&&) = delete;
  ~LogitsFile();  // removes what was not published

  Result<void> WriteRows(uint64_t first, std::span<const float> rows);
  Result<void> Publish();

 private:
  LogitsFile(File file, std::filesystem::path path, uint64_t data_begin, uint64_t vocab_size)
      : file_(std::move(file)),
        path_(std::move(path)),
        data_begin_(data_begin),
        vocab_size_(vocab_size) {}

  File file_;
  std::filesystem::path path_;  // empty: nothing left to remove
  uint64_t data_begin_, vocab_size_;
};

}  // namespace tessera
