#include "verify/tensor_tile.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "quant/contradiction.h"
#include "quant/part_spans.h"
#include "verify/quality_gates.h"

namespace tessera {
namespace {

using ConstParts = std::vector<std::span<const std::byte>>;

// Stored bytes of both sides that are read at a time, as far as the quanta allow.
constexpr uint64_t kTileBytes = uint64_t{1} << 20;
// Values that are decoded at a time: three such buffers fit a second-level cache.
constexpr uint64_t kChunkValues = uint64_t{1} << 15;

ByteRange PartRange(const StoredWeight& weight, size_t part, RowRange range) {
  if (weight.scheme == nullptr) return {range.begin, range.end};
  return weight.scheme->PartBytes(part, weight.rows, weight.cols, range);
}

uint64_t StoredBytes(const StoredWeight& weight, RowRange range) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < weight.parts.size(); ++i) bytes += PartRange(weight, i, range).size();
  return bytes;
}

// Rows that are decoded together: of a vector, elements.
uint64_t ChunkRows(uint64_t cols) {
  return std::max<uint64_t>(1, kChunkValues / std::max<uint64_t>(1, cols));
}

const Scheme& RoundingTo(const StoredWeight& b) {
  // Clipped is what a cast to F16 may do on request; infinite would be a fault.
  return PlainScheme(b.parts[0]->info.dtype(), true);
}

bool SameNumber(float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); }

}  // namespace

TilePair::TilePair(const StoredWeight& a_weight, const StoredWeight& b_weight)
    : a(&a_weight), b(&b_weight), same_encoding(SameEncoding(a_weight, b_weight)) {
  raw = a->scheme == nullptr || b->scheme == nullptr || a->rows != b->rows || a->cols != b->cols;
  if (raw) {
    rows = same_encoding ? a->parts[0]->info.bytes() : 0;
    tile_rows = kTileBytes / 2;
    return;
  }
  rows = a->rows;
  if (a->scheme->is_whole() || b->scheme->is_whole()) {
    tile_rows = std::max<uint64_t>(1, rows);
    return;
  }
  const uint64_t quantum = std::lcm(a->scheme->row_quantum(), b->scheme->row_quantum());
  const uint64_t quantum_bytes = Bytes({0, std::min(quantum, rows)});
  tile_rows = quantum * std::max<uint64_t>(1, kTileBytes / std::max<uint64_t>(1, quantum_bytes));
}

RowRange TilePair::Tile(uint64_t index) const {
  return {index * tile_rows, std::min(rows, (index + 1) * tile_rows)};
}

uint64_t TilePair::Bytes(RowRange range) const {
  return StoredBytes(*a, range) + StoredBytes(*b, range);
}

uint64_t TileComparer::MemoryFor(const TilePair& pair) {
  const uint64_t stored = pair.rows == 0 ? 0 : pair.Bytes(pair.Tile(0));
  const uint64_t values = pair.raw ? 0 : std::max(kChunkValues, pair.a->cols);
  return stored + values * 4 * sizeof(float);
}

Result<void> TileComparer::Read(const TilePair& pair, RowRange range) {
  const uint64_t total = pair.Bytes(range);
  if (bytes_.size() < total) bytes_.resize(total);
  std::span<std::byte> free = bytes_;
  const auto read = [&](const Checkpoint& from, const StoredWeight& weight,
                        ConstParts& parts) -> Result<void> {
    parts.clear();
    for (size_t i = 0; i < weight.parts.size(); ++i) {
      const ByteRange wanted = PartRange(weight, i, range);
      const auto part = free.first(wanted.size());
      free = free.subspan(part.size());
      TESSERA_TRY(from.ReadBytes(*weight.parts[i], wanted.begin, part));
      parts.push_back(part);
    }
    return {};
  };
  TESSERA_TRY(read(a_, *pair.a, parts_a_));
  TESSERA_TRY(read(b_, *pair.b, parts_b_));
  counters_.done_bytes += total;
  return {};
}

bool TileComparer::BytesAreEqual(size_t from) const {
  for (size_t i = from; i < parts_a_.size(); ++i) {
    const std::span<const std::byte> x = parts_a_[i], y = parts_b_[i];
    if (!x.empty() && std::memcmp(x.data(), y.data(), x.size()) != 0) return false;
  }
  return true;
}

void TileComparer::DecodeBoth(const TilePair& pair, RowRange tile, RowRange chunk) {
  const auto decode = [&](const StoredWeight& weight, const ConstParts& parts, float* out) {
    ValueStats stats;
    const ConstParts within = PartSpansWithin<const std::byte>(*weight.scheme, parts, weight.rows,
                                                               weight.cols, tile, chunk);
    weight.scheme->DecodeRows(within, weight.rows, weight.cols, chunk, out, stats);
    if (stats.wrong_constants == 0 || contradiction_) return;
    contradiction_ =
        Contradiction(*weight.scheme, within, weight.rows, weight.cols).Of(weight.name);
  };
  values_a_.resize(chunk.size() * pair.a->cols);
  values_b_.resize(values_a_.size());
  decode(*pair.a, parts_a_, values_a_.data());
  decode(*pair.b, parts_b_, values_b_.data());
}

void TileComparer::RoundLikeB(const TilePair& pair, RowRange chunk) {
  const StoredWeight& b = *pair.b;
  rounded_.resize(values_a_.size() * BitsOf(b.parts[0]->info.dtype()) / 8);
  const std::span<std::byte> part(rounded_);
  ValueStats unused;
  RoundingTo(b).EncodeRows(values_a_.data(), b.rows, b.cols, chunk, {&part, 1}, unused);
}

bool TileComparer::IsRoundedLikeB(const TilePair& pair, RowRange tile, RowRange chunk) {
  if (pair.b->parts.size() > 1) return CountMisrounded(pair, chunk) == 0;
  RoundLikeB(pair, chunk);
  const uint64_t at = StoredBytes(*pair.b, {tile.begin, chunk.begin});
  return std::memcmp(rounded_.data(), parts_b_[0].data() + at, rounded_.size()) == 0;
}

TileResult TileComparer::CheckRounding(const TilePair& pair, RowRange tile) {
  TileResult result{.same = true, .rounded = true};
  const uint64_t step = ChunkRows(pair.a->cols);
  for (uint64_t begin = tile.begin; begin < tile.end; begin += step) {
    const RowRange chunk{begin, std::min(begin + step, tile.end)};
    DecodeBoth(pair, tile, chunk);
    const size_t size = values_a_.size() * sizeof(float);
    const bool same = std::memcmp(values_a_.data(), values_b_.data(), size) == 0;
    result.same = result.same && same;
    if (same) continue;
    if (!IsRoundedLikeB(pair, tile, chunk)) return {};
  }
  return result;
}

uint64_t TileComparer::CountMisrounded(const TilePair& pair, RowRange chunk) {
  RoundLikeB(pair, chunk);
  const std::span<const std::byte> part(rounded_);
  errors_.resize(values_a_.size());
  ValueStats unused;
  RoundingTo(*pair.b).DecodeRows({&part, 1}, pair.b->rows, pair.b->cols, chunk, errors_.data(),
                                 unused);
  uint64_t count = 0;
  for (size_t i = 0; i < errors_.size(); ++i) {
    count += SameNumber(errors_[i], values_b_[i]) ? 0 : 1;
  }
  return count;
}

QualityStats TileComparer::Measure(const TilePair& pair, RowRange tile, uint64_t& misrounded) {
  const StoredWeight& b = *pair.b;
  QualityStats stats;
  const uint64_t step = ChunkRows(b.cols);
  for (uint64_t begin = tile.begin; begin < tile.end; begin += step) {
    const RowRange chunk{begin, std::min(begin + step, tile.end)};
    DecodeBoth(pair, tile, chunk);
    if (b.is_plain()) misrounded += CountMisrounded(pair, chunk);
    errors_.resize(values_a_.size());
    const bool predicted = b.scheme->ExpectedErrorRows(
        PartSpansWithin<const std::byte>(*b.scheme, parts_b_, b.rows, b.cols, tile, chunk), b.rows,
        b.cols, chunk, errors_.data());
    // A vector is one row.
    const bool vector = b.cols == 1;
    stats.Merge(MeasureQuality({.want = values_a_.data(),
                                .got = values_b_.data(),
                                .error = predicted ? errors_.data() : nullptr,
                                .rows = vector ? 1 : chunk.size(),
                                .cols = vector ? chunk.size() : b.cols,
                                .first_row = vector ? 0 : chunk.begin,
                                .first_col = vector ? chunk.begin : 0}));
  }
  return stats;
}

Result<TileResult> TileComparer::Compare(const TilePair& pair, RowRange range, bool measure) {
  TESSERA_TRY(Read(pair, range));
  if (!measure && pair.same_encoding && BytesAreEqual(0)) {
    return TileResult{.same = true, .rounded = true};
  }
  if (pair.raw) return TileResult{};
  if (!measure && !pair.same_encoding && pair.b->is_plain()) {
    const TileResult result = CheckRounding(pair, range);
    if (contradiction_) return Fail(*std::exchange(contradiction_, std::nullopt));
    if (result.rounded) return TileResult{.same = result.same, .rounded = true};
  }
  TileResult result{.same_scales = pair.same_encoding && BytesAreEqual(1)};
  result.stats = std::make_unique<QualityStats>(Measure(pair, range, result.misrounded));
  if (contradiction_) return Fail(*std::exchange(contradiction_, std::nullopt));
  return result;
}

}  // namespace tessera
