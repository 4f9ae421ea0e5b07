// Importance matrices as llama.cpp keeps them: the mean square of what entered each column of a
// weight, by which the quantizers of GGUF's block types weigh that column's errors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/file.h"
#include "formats/gguf.h"
#include "formats/hash.h"
#include "formats/result.h"

namespace tessera {

// What a file holds of one tensor of a GGUF file.
struct Importance {
  std::string name;           // "blk.3.ffn_down_exps.weight"
  uint64_t values = 0;        // columns, times experts or heads where the tensor has such
  std::vector<float> counts;  // tokens seen, by expert, or once for all values
  uint64_t offset = 0;        // of the values, F32, in the file
};

// An open file, its values left on disk: of a whole V3 they are a gigabyte. Immutable, thread-safe.
class ImportanceMatrix {
 public:
  // Either form: GGUF, or the older .dat. Reads everything once. kBadCalibration names the tensor
  // whose sums or counts are missing, negative, not finite or of sizes that do not go together.
  static Result<ImportanceMatrix> Open(const std::filesystem::path& path);

  // By the name of the tensor in a GGUF file; nullptr if nothing was measured of it.
  const Importance* Find(std::string_view name) const;
  const std::vector<Importance>& entries() const { return entries_; }  // by name

  // Mean squares of the columns of one of the `matrices` (experts or heads; 1 of a plain tensor)
  // that the tensor consists of. Of an expert that no token reached all are 1, as llama.cpp has
  // it. kBadCalibration if the file's values are not `matrices` times out.size().
  Result<void> Read(const Importance& entry, uint64_t matrix, uint64_t matrices,
                    std::span<float> out) const;

  // Of all names, counts and values: what a plan depends on.
  const Digest& digest() const { return digest_; }
  // As the file states them, for a GGUF file that was quantized with it.
  const std::vector<std::string>& datasets() const { return datasets_; }
  uint32_t chunk_count() const { return chunk_count_; }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  explicit ImportanceMatrix(File file) : file_(std::move(file)) {}

  Result<void> OpenGguf();
  Result<void> ReadMetadata(const GgufMetadata& metadata);
  Result<void> OpenDat(uint64_t file_bytes);
  Result<void> Finish();
  Result<void> CheckValues(const Importance& entry, Xxh3Stream& hash) const;

  File file_;
  bool dat_ = false;  // values there are means times counts, and counts are calls
  std::vector<Importance> entries_;
  std::vector<std::string> datasets_;
  uint32_t chunk_count_ = 0;
  Digest digest_{};
};

}  // namespace tessera
