// "This weight as F32 rows", however it is stored.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "formats/checkpoint.h"
#include "quant/storage.h"

namespace tessera {

// Borrows the checkpoint and the weight. Not thread-safe (it keeps a read buffer); make one a
// thread. A weight whose parts cannot be cut by rows is read once and its bytes kept.
class WeightReader {
 public:
  WeightReader(const Checkpoint& checkpoint, const StoredWeight& weight)
      : checkpoint_(&checkpoint), weight_(&weight) {}

  uint64_t rows() const { return weight_->rows; }
  uint64_t cols() const { return weight_->cols; }

  // Any rows; those not on the scheme's quantum cost decoding up to it. `out` holds range.size() *
  // cols(). Fails where a constant part contradicts the weight.
  Result<void> ReadRows(RowRange range, std::span<float> out);

 private:
  // `range` on the quantum, or up to the last row.
  Result<void> DecodeRows(RowRange range, float* out);
  // Into parts_, the bytes that these rows need.
  Result<void> ReadParts(RowRange range);

  const Checkpoint* checkpoint_;
  const StoredWeight* weight_;
  std::vector<std::byte> bytes_;
  std::vector<std::span<const std::byte>> parts_;  // of bytes_
  std::vector<float> rows_scratch_;
};

}  // namespace tessera
