// A safetensors file with one F32 tensor `logits` [tokens, vocab], written as rows come.
#pragma once

#include <filesystem>
#include <span>

#include "formats/result.h"
#include "formats/staged_file.h"

namespace tessera {

class LogitsFile {
 public:
  // kForeignFile where `path` is anything but a file of logits: a slip must not replace a shard.
  static Result<LogitsFile> Create(const std::filesystem::path& path, uint64_t tokens,
                                   uint64_t vocab_size);

  Result<void> WriteRows(uint64_t first, std::span<const float> rows);
  Result<void> Publish() { return staged_.Publish(); }

 private:
  LogitsFile(StagedFile staged, uint64_t data_begin, uint64_t vocab_size)
      : staged_(std::move(staged)), data_begin_(data_begin), vocab_size_(vocab_size) {}

  StagedFile staged_;
  uint64_t data_begin_, vocab_size_;
};

}  // namespace tessera
