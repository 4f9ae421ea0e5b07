// The comparison of some rows of one weight, stored in two ways.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/result.h"
#include "formats/work_counters.h"
#include "quant/quality.h"
#include "quant/storage.h"

namespace tessera {

// One weight on both sides, and how it is cut. Where `raw`, there is no scheme or the shapes
// differ: only bytes can be compared, and a RowRange counts them.
struct TilePair {
  TilePair(const StoredWeight& a, const StoredWeight& b);

  const StoredWeight *a, *b;
  bool raw;
  bool same_encoding;  // equal bytes are equal values
  uint64_t rows;       // or bytes
  uint64_t tile_rows;  // of all tiles but the last; depends on the weight alone

  uint64_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  RowRange Tile(uint64_t index) const;
  // Stored bytes of the range, of both sides.
  uint64_t Bytes(RowRange range) const;
};

struct TileResult {
  bool same = false;        // bytes or values are equal; otherwise:
  bool rounded = false;     // B's values are A's, rounded to B's plain type
  bool same_scales = true;  // with the same encoding: only the codes differ
  uint64_t misrounded = 0;
  std::unique_ptr<QualityStats> stats = nullptr;  // if measured
};

// Compares tiles, one after the other: owns the buffers, so make one a thread.
class TileComparer {
 public:
  TileComparer(const Checkpoint& a, const Checkpoint& b, WorkCounters& counters)
      : a_(a), b_(b), counters_(counters) {}

  // Reads every byte of the range once. Without `measure` it measures only what is neither the same
  // nor rounded. Fails where what lies beside the codes contradicts them.
  Result<TileResult> Compare(const TilePair& pair, RowRange range, bool measure);

  // What Compare needs for its buffers at most.
  static uint64_t MemoryFor(const TilePair& pair);

 private:
  Result<void> Read(const TilePair& pair, RowRange range);
  // Of the parts from `from` on; both sides have the same encoding.
  bool BytesAreEqual(size_t from) const;
  TileResult CheckRounding(const TilePair& pair, RowRange tile);
  QualityStats Measure(const TilePair& pair, RowRange tile, uint64_t& misrounded);
  // values_a_ and values_b_ of a chunk.
  void DecodeBoth(const TilePair& pair, RowRange tile, RowRange chunk);
  // A's values of the chunk as B would store them, into rounded_.
  void RoundLikeB(const TilePair& pair, RowRange chunk);
  uint64_t CountMisrounded(const TilePair& pair, RowRange chunk);
  bool IsRoundedLikeB(const TilePair& pair, RowRange tile, RowRange chunk);

  const Checkpoint &a_, &b_;
  WorkCounters& counters_;
  std::vector<std::byte> bytes_;
  std::vector<std::span<const std::byte>> parts_a_, parts_b_;
  std::optional<Error> contradiction_;  // met while decoding
  std::vector<float> values_a_, values_b_, errors_;
  std::vector<std::byte> rounded_;
};

}  // namespace tessera
