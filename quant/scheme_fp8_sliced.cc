#include <algorithm>
#include <cstring>
#include <memory>

#include "quant/part_spans.h"
#include "quant/scheme.h"

namespace tessera {
namespace {

// A slice's scales are those of a matrix of its own, which the plain block scheme encodes.
class SlicedFp8Scheme final : public Scheme {
 public:
  explicit SlicedFp8Scheme(const SlicedFp8Args& args)
      : args_(args), slice_(MakeFp8BlockScheme(args.block)) {}

  std::string_view name() const override { return "fp8-block-sliced"; }
  uint64_t row_quantum() const override { return slice_->row_quantum(); }

  std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const override {
    std::vector<PartSpec> parts = slice_->Parts(SliceRows(rows), SliceCols(cols));
    for (PartSpec& part : parts) part.shape[args_.by_rows ? 0 : 1] *= args_.slices;
    return parts;
  }

  ByteRange PartBytes(size_t part, uint64_t rows, uint64_t cols, RowRange range) const override {
    if (part == 0) return {range.begin * cols, range.end * cols};
    if (range.size() == 0) return {};
    const uint64_t height = SliceRows(rows);
    const auto local = [&](RowRange within) {
      return slice_->PartBytes(part, height, SliceCols(cols), within);
    };
    if (!args_.by_rows) {
      const ByteRange one = local(range);
      return {one.begin * args_.slices, one.end * args_.slices};
    }
    const uint64_t whole = local({0, height}).size();
    const uint64_t first = range.begin / height, last = (range.end - 1) / height;
    return {first * whole + local({range.begin - first * height, range.end - first * height}).begin,
            last * whole + local({0, range.end - last * height}).end};
  }

  void DecodeRows(std::span<const std::span<const std::byte>>, uint64_t, uint64_t, RowRange, float*,
                  ValueStats&) const override {
    TESSERA_CHECK(false);  // ranks are read as the whole model that was cut
  }

  void EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                  std::span<const std::span<std::byte>> parts, ValueStats& stats) const override {
    CheckPartSpans(*this, parts, rows, cols, range);
    if (range.size() == 0 || cols == 0) return;
    if (!args_.by_rows) return EncodeColumns(in, rows, cols, range, parts, stats);
    const uint64_t height = SliceRows(rows), origin = range.begin / height * height;
    TESSERA_CHECK(range.end <= origin + height);
    slice_->EncodeRows(in, height, cols, {range.begin - origin, range.end - origin}, parts, stats);
  }

 private:
  uint64_t SliceRows(uint64_t rows) const { return args_.by_rows ? rows / args_.slices : rows; }
  uint64_t SliceCols(uint64_t cols) const { return args_.by_rows ? cols : cols / args_.slices; }

  void EncodeColumns(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                     std::span<const std::span<std::byte>> parts, ValueStats& stats) const {
    const uint64_t width = SliceCols(cols);
    std::vector<float> values(range.size() * width);
    std::vector<std::vector<std::byte>> bytes;
    for (size_t part = 0; part < parts.size(); ++part) {
      bytes.emplace_back(slice_->PartBytes(part, rows, width, range).size());
    }
    const std::vector<std::span<std::byte>> encoded(bytes.begin(), bytes.end());
    for (uint64_t slice = 0; slice < args_.slices; ++slice) {
      for (uint64_t row = 0; row < range.size(); ++row) {
        std::copy_n(in + row * cols + slice * width, width, values.data() + row * width);
      }
      slice_->EncodeRows(values.data(), rows, width, range, encoded, stats);
      Scatter(encoded[0], range.size(), slice, parts[0]);
      const uint64_t block = slice_->row_quantum();
      Scatter(encoded[1], (range.size() + block - 1) / block, slice, parts[1]);
    }
  }

  // Rows of one slice to their place in rows of all of them.
  void Scatter(std::span<const std::byte> from, uint64_t rows, uint64_t slice,
               std::span<std::byte> to) const {
    const uint64_t row_bytes = from.size() / rows;
    for (uint64_t row = 0; row < rows; ++row) {
      std::memcpy(to.data() + (row * args_.slices + slice) * row_bytes,
                  from.data() + row * row_bytes, row_bytes);
    }
  }

  SlicedFp8Args args_;
  std::unique_ptr<Scheme> slice_;
};

}  // namespace

std::unique_ptr<Scheme> MakeSlicedFp8Scheme(const SlicedFp8Args& args) {
  return std::make_unique<SlicedFp8Scheme>(args);
}

}  // namespace tessera
