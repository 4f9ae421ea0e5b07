#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "quant/scheme.h"

namespace tessera {
namespace {

using Bytes = std::vector<std::byte>;

// All parts of a matrix, encoded a few blocks of rows at a time, never across `band` rows.
std::vector<Bytes> Encode(const Scheme& scheme, const std::vector<float>& values, uint64_t rows,
                          uint64_t cols, uint64_t band, uint64_t step) {
  std::vector<Bytes> parts;
  for (size_t part = 0; part < 2; ++part) {
    parts.emplace_back(scheme.PartBytes(part, rows, cols, {0, rows}).size());
    const PartSpec spec = scheme.Parts(rows, cols)[part];
    EXPECT_EQ(parts[part].size(), TensorInfo::Make("x", spec.dtype, spec.shape)->bytes());
  }
  for (uint64_t origin = 0; origin < rows; origin += band) {
    for (uint64_t begin = origin; begin < origin + band; begin += step) {
      const RowRange range{begin, std::min(begin + step, origin + band)};
      std::vector<std::span<std::byte>> spans;
      for (size_t part = 0; part < 2; ++part) {
        const ByteRange bytes = scheme.PartBytes(part, rows, cols, range);
        spans.push_back(std::span(parts[part]).subspan(bytes.begin, bytes.size()));
      }
      ValueStats stats;
      scheme.EncodeRows(values.data() + begin * cols, rows, cols, range, spans, stats);
    }
  }
  return parts;
}

// Columns [begin, end) of a matrix of `cols` columns of `size` bytes each.
Bytes Columns(const Bytes& matrix, uint64_t cols, size_t size, uint64_t begin, uint64_t end) {
  Bytes out;
  for (size_t row = 0; row < matrix.size() / (cols * size); ++row) {
    const auto first = matrix.begin() + static_cast<ptrdiff_t>((row * cols + begin) * size);
    out.insert(out.end(), first, first + static_cast<ptrdiff_t>((end - begin) * size));
  }
  return out;
}

TEST(SlicedFp8Scheme, EachSliceIsEncodedAsAMatrixOfItsOwn) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (const uint32_t slices : {1u, 2u, 3u, 5u}) {
    for (const uint64_t size : {1u, 7u, 8u, 12u, 20u}) {  // of a slice, around blocks of 8
      for (const bool by_rows : {true, false}) {
        SCOPED_TRACE(std::to_string(slices) + " slices of " + std::to_string(size) +
                     (by_rows ? " rows" : " columns"));
        const uint64_t rows = by_rows ? slices * size : 19, cols = by_rows ? 21 : slices * size;
        std::vector<float> values(rows * cols);
        for (float& value : values) value = normal(random);
        Fp8BlockArgs block;
        block.block_rows = block.block_cols = 8;
        const auto sliced =
            MakeSlicedFp8Scheme({.block = block, .slices = slices, .by_rows = by_rows});
        const auto plain = MakeFp8BlockScheme(block);
        const uint64_t height = by_rows ? size : rows, width = by_rows ? cols : size;
        const std::vector<Bytes> got = Encode(*sliced, values, rows, cols, height, 16);
        for (uint32_t slice = 0; slice < slices; ++slice) {
          std::vector<float> own;
          for (uint64_t row = 0; row < height; ++row) {
            const float* from = values.data() + (row + (by_rows ? slice * size : 0)) * cols +
                                (by_rows ? 0 : slice * size);
            own.insert(own.end(), from, from + width);
          }
          const std::vector<Bytes> want = Encode(*plain, own, height, width, height, height + 1);
          for (size_t part = 0; part < 2; ++part) {
            const size_t element = part == 0 ? 1 : sizeof(float);
            const uint64_t part_cols = sliced->Parts(rows, cols)[part].shape[1];
            const auto share = static_cast<ptrdiff_t>(want[part].size());
            const Bytes piece =
                by_rows ? Bytes(got[part].begin() + slice * share,
                                got[part].begin() + (slice + 1) * share)
                        : Columns(got[part], part_cols, element, slice * (part_cols / slices),
                                  (slice + 1) * (part_cols / slices));
            EXPECT_EQ(piece, want[part]) << "part " << part << " of slice " << slice;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace tessera
