// "This weight as F32 rows", however it is stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/checkpoint.h"
#include "quant/storage.h"

namespace tessera {

// The scheme's kernels, or quant/reference alone as an independent check of them.
enum class Decoder : uint8_t { kFast, kReference };

// The bytes of a weight's parts, read beforehand.
using LoadedParts = std::vector<std::vector<std::byte>>;
Result<LoadedParts> LoadParts(const Checkpoint& checkpoint, const StoredWeight& weight);

struct WeightReaderOptions {
  Decoder decoder = Decoder::kFast;     // kUnsupported on reading what the reference cannot decode
  const LoadedParts* loaded = nullptr;  // else the bytes are read from the checkpoint
};

// Borrows the checkpoint and the weight. Not thread-safe (it keeps a read buffer); make one a
// thread. A weight whose parts cannot be cut by rows is read once and its bytes kept.
class WeightReader {
 public:
  WeightReader(const Checkpoint& checkpoint, const StoredWeight& weight,
               const WeightReaderOptions& options = {})
      : checkpoint_(&checkpoint), weight_(&weight), options_(options) {}

  uint64_t rows() const { return weight_->rows; }
  uint64_t cols() const { return weight_->cols; }

  // Any rows; those not on the scheme's quantum cost decoding up to it. `out` holds range.size() *
  // cols(). Fails where a constant part contradicts the weight.
  Result<void> ReadRows(RowRange range, std::span<float> out);

 private:
  // `range` on the quantum, or up to the last row.
  Result<void> DecodeRows(RowRange range, float* out);
  // Into parts_, the bytes that these rows need.
  Result<void> FindParts(RowRange range);

  const Checkpoint* checkpoint_;
  const StoredWeight* weight_;
  WeightReaderOptions options_;
  std::vector<std::byte> bytes_;
  std::vector<std::span<const std::byte>> parts_;  // of bytes_, or of what was loaded
  std::vector<float> rows_scratch_;
};

}  // namespace tessera
