// A file that has its name only when it is whole.
#pragma once

#include <filesystem>

#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

class StagedFile {
 public:
  // Written beside `path` until Publish; what another run left there is replaced.
  static Result<StagedFile> Create(const std::filesystem::path& path);
  StagedFile(StagedFile&&) noexcept = default;
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();  // removes what was not published

  const File& file() const { return file_; }
  Result<void> Publish();

 private:
  StagedFile(File file, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)) {}

  File file_;
  std::filesystem::path path_;  // empty: nothing left to remove
};

}  // namespace tessera
