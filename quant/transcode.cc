#include <algorithm>
#include <memory>
#include <numeric>

#include "quant/part_spans.h"
#include "quant/scheme.h"
#include "quant/scheme_fp8_block.h"
#include "quant/scheme_plain.h"

namespace tessera {
namespace {

constexpr uint64_t kScratchFloats = 4096;

// A row of F32 at a time: the rows of a block are read twice but held nowhere.
void EncodePlain(Dtype from, std::span<const std::byte> source, const Fp8BlockScheme& to,
                 std::span<const std::span<std::byte>> target, uint64_t rows, uint64_t cols,
                 RowRange range, ValueStats& stats) {
  const uint64_t row_bytes = cols * (BitsOf(from) / 8);
  TESSERA_CHECK(source.size() == range.size() * row_bytes);
  std::vector<float> row(cols);
  const auto decode = [&](uint64_t i) {
    PlainToF32(from, source.data() + i * row_bytes, cols, row.data());
    return row.data();
  };
  to.EncodeRowsFrom(decode, rows, cols, range, target, stats);
}

}  // namespace

void TranscodeThroughF32(const Scheme& from, std::span<const std::span<const std::byte>> source,
                         const Scheme& to, std::span<const std::span<std::byte>> target,
                         uint64_t rows, uint64_t cols, RowRange range, ValueStats& stats) {
  const uint64_t quantum = std::lcm(from.row_quantum(), to.row_quantum());
  // Narrow rows go several at a time.
  const uint64_t step = quantum * std::max<uint64_t>(1, kScratchFloats / (quantum * cols + 1));
  const auto scratch = std::make_unique_for_overwrite<float[]>(std::min(step, range.size()) * cols);
  for (uint64_t begin = range.begin; begin < range.end; begin += step) {
    const RowRange rows_now{begin, std::min(begin + step, range.end)};
    from.DecodeRows(PartSpansWithin(from, source, rows, cols, range, rows_now), rows, cols,
                    rows_now, scratch.get(), stats);
    to.EncodeRows(scratch.get(), rows, cols, rows_now,
                  PartSpansWithin(to, target, rows, cols, range, rows_now), stats);
  }
}

void Transcode(const Scheme& from, std::span<const std::span<const std::byte>> source,
               const Scheme& to, std::span<const std::span<std::byte>> target, uint64_t rows,
               uint64_t cols, RowRange range, ValueStats& stats) {
  const auto* plain_from = dynamic_cast<const PlainFloatScheme*>(&from);
  const auto* fp8_from = dynamic_cast<const Fp8BlockScheme*>(&from);
  const auto* plain_to = dynamic_cast<const PlainFloatScheme*>(&to);
  const auto* fp8_to = dynamic_cast<const Fp8BlockScheme*>(&to);
  if (plain_to != nullptr && (plain_from != nullptr || fp8_from != nullptr)) {
    TESSERA_CHECK(target.size() == 1);
    TESSERA_CHECK(target[0].size() == to.PartBytes(0, rows, cols, range).size());
  }
  if (fp8_from != nullptr && plain_to != nullptr) {
    fp8_from->DecodeRowsTo(*plain_to, source, rows, cols, range, target[0].data(), stats);
  } else if (plain_from != nullptr && plain_to != nullptr &&
             plain_from->dtype() != plain_to->dtype()) {
    TESSERA_CHECK(source.size() == 1);
    TESSERA_CHECK(source[0].size() == from.PartBytes(0, rows, cols, range).size());
    PlainToPlain(plain_from->dtype(), source[0].data(), range.size() * cols, *plain_to,
                 target[0].data(), stats);
  } else if (plain_from != nullptr && fp8_to != nullptr) {
    TESSERA_CHECK(source.size() == 1);
    EncodePlain(plain_from->dtype(), source[0], *fp8_to, target, rows, cols, range, stats);
  } else {
    TranscodeThroughF32(from, source, to, target, rows, cols, range, stats);
  }
}

}  // namespace tessera
