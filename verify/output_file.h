// One file of a finished output, its tensors under the names that they have in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/file.h"
#include "formats/hash.h"
#include "formats/result.h"

namespace tessera {

// Movable; reading is thread-safe.
class OutputFile {
 public:
  // safetensors, or GGUF where the name ends in .gguf.
  static Result<OutputFile> Open(const std::filesystem::path& path);

  uint64_t bytes() const { return bytes_; }
  const Digest& header() const { return header_; }  // of everything before the first tensor
  std::span<const TensorExtent> tensors() const;    // by name
  const TensorExtent* Find(std::string_view name) const;
  Result<void> ReadBytes(const TensorExtent& tensor, uint64_t begin,
                         std::span<std::byte> out) const;

 private:
  OutputFile() = default;
  Result<void> OpenGguf(const std::filesystem::path& path);

  uint64_t bytes_ = 0;
  Digest header_{};
  std::optional<Checkpoint> checkpoint_;  // of safetensors
  std::optional<File> gguf_;
  std::vector<TensorExtent> gguf_tensors_;
};

}  // namespace tessera
