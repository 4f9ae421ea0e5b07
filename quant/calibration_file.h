// What a calibration writes: llama.cpp's importance matrix in its GGUF form, and beside it the
// largest magnitude that entered each linear, which llama.cpp does not look at.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/result.h"
#include "formats/staged_file.h"
#include "formats/tensor.h"

namespace tessera {

// Sums of squares [matrices, columns] and token counts [counts, 1] of a tensor of a GGUF file.
std::string ImportanceSumsName(std::string_view gguf_name);
std::string ImportanceCountsName(std::string_view gguf_name);

// What the tokens were.
struct CalibrationSource {
  std::string dataset;  // for people: where they came from
  uint32_t chunk_count = 0, chunk_size = 0;
};

// F32 tensors, written in any order.
class CalibrationFile {
 public:
  // kForeignFile if there is something at `path` that no calibration wrote.
  static Result<CalibrationFile> Create(const std::filesystem::path& path,
                                        const CalibrationSource& source,
                                        std::vector<TensorInfo> tensors);

  Result<void> Write(std::string_view name, std::span<const float> values);
  Result<void> Publish();  // once all tensors are written

 private:
  struct Place {
    uint64_t offset, values;
  };

  CalibrationFile(StagedFile staged, std::map<std::string, Place, std::less<>> missing)
      : staged_(std::move(staged)), missing_(std::move(missing)) {}

  StagedFile staged_;
  std::map<std::string, Place, std::less<>> missing_;  // tensors that are not written yet
};

}  // namespace tessera
