#include "quant/weight_reader.h"

#include <algorithm>
#include <utility>

#include "quant/contradiction.h"
#include "quant/reference_decode.h"

namespace tessera {
namespace {

// About this many stored bytes are read at a time.
constexpr uint64_t kReadBytes = uint64_t{4} << 20;

}  // namespace

Result<LoadedParts> LoadParts(const Checkpoint& checkpoint, const StoredWeight& weight) {
  LoadedParts loaded;
  for (const TensorExtent* part : weight.parts) {
    TESSERA_TRY(checkpoint.ReadBytes(*part, 0, loaded.emplace_back(part->info.bytes())));
  }
  return loaded;
}

Result<void> WeightReader::FindParts(RowRange range) {
  const Scheme& scheme = *weight_->scheme;
  if (scheme.is_whole() && !parts_.empty()) return {};
  std::vector<ByteRange> wanted;
  uint64_t total = 0;
  for (size_t i = 0; i < weight_->parts.size(); ++i) {
    wanted.push_back(scheme.PartBytes(i, rows(), cols(), range));
    total += wanted.back().size();
  }
  parts_.clear();
  std::vector<std::span<const std::byte>> parts;
  if (options_.loaded == nullptr && bytes_.size() < total) bytes_.resize(total);
  std::span<std::byte> free = bytes_;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (options_.loaded != nullptr) {
      const std::span<const std::byte> part = (*options_.loaded)[i];
      parts.push_back(part.subspan(wanted[i].begin, wanted[i].size()));
      continue;
    }
    const auto part = free.first(wanted[i].size());
    free = free.subspan(part.size());
    TESSERA_TRY(checkpoint_->ReadBytes(*weight_->parts[i], wanted[i].begin, part));
    parts.push_back(part);
  }
  parts_ = std::move(parts);
  return {};
}

Result<void> WeightReader::DecodeRows(RowRange range, float* out) {
  TESSERA_TRY(FindParts(range));
  ValueStats stats;
  if (options_.decoder == Decoder::kReference) {
    TESSERA_TRY(DecodeRowsByReference(*weight_, parts_, range, out, stats));
  } else {
    weight_->scheme->DecodeRows(parts_, rows(), cols(), range, out, stats);
  }
  if (stats.wrong_constants == 0) return {};
  return Fail(Contradiction(*weight_->scheme, parts_, rows(), cols())
                  .Of(weight_->name)
                  .In(checkpoint_->shards()[weight_->parts[0]->shard].name));
}

Result<void> WeightReader::ReadRows(RowRange range, std::span<float> out) {
  TESSERA_CHECK(weight_->scheme != nullptr);
  TESSERA_CHECK(range.begin <= range.end && range.end <= rows());
  TESSERA_CHECK(out.size() == range.size() * cols());
  if (out.empty()) return {};
  const uint64_t quantum = weight_->scheme->row_quantum();
  const uint64_t quantum_bytes =
      weight_->scheme->PartBytes(0, rows(), cols(), {0, std::min(quantum, rows())}).size();
  const uint64_t step = weight_->scheme->is_whole()
                            ? (rows() + quantum - 1) / quantum * quantum
                            : quantum * std::max<uint64_t>(1, kReadBytes / quantum_bytes);
  // Up to here rows come in whole quanta.
  const uint64_t whole = range.end == rows() ? rows() : range.end / quantum * quantum;
  for (uint64_t row = range.begin; row < range.end;) {
    const uint64_t begin = row / quantum * quantum;
    float* row_out = out.data() + (row - range.begin) * cols();
    if (row == begin && row < whole) {
      const uint64_t end = std::min(begin + step, whole);
      TESSERA_TRY(DecodeRows({begin, end}, row_out));
      row = end;
      continue;
    }
    // A border off the quantum: decode one quantum aside and take what was asked for.
    const RowRange around{begin, std::min(begin + quantum, rows())};
    const RowRange wanted{row, std::min(around.end, range.end)};
    rows_scratch_.resize(around.size() * cols());
    TESSERA_TRY(DecodeRows(around, rows_scratch_.data()));
    const auto first = rows_scratch_.begin() + static_cast<ptrdiff_t>((row - begin) * cols());
    std::copy_n(first, wanted.size() * cols(), row_out);
    row = wanted.end;
  }
  return {};
}

}  // namespace tessera
