// One way to store a weight matrix: which tensors it becomes, and rows to and from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/dtype.h"
#include "formats/result.h"
#include "formats/tensor.h"
#include "quant/int_quality.h"

namespace tessera {

// One tensor that a weight [rows, cols] is stored as. suffix replaces the weight's ".weight"
// ending.
struct PartSpec {
  std::string suffix;  // ".weight", ".weight_scale_inv", ...
  Dtype dtype;
  Shape shape;
  // The same bytes whatever the values (weight_shape, g_idx, ...). They belong to row 0: PartBytes
  // names all of them for a range that begins there, and none for any other.
  bool constant = false;
};

struct ByteRange {
  uint64_t begin = 0, end = 0;

  uint64_t size() const { return end - begin; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

struct RowRange {
  uint64_t begin = 0, end = 0;

  uint64_t size() const { return end - begin; }
  friend bool operator==(const RowRange&, const RowRange&) = default;
};

// Facts about values met while encoding or decoding; they add up over tiles.
struct ValueStats {
  uint64_t nan_codes = 0;  // FP8 codes that are NaN; each comes out as the one quiet NaN
  uint64_t f16_overflows =
      0;  // finite values beyond F16's range: infinite, or clipped under `saturate`
  uint64_t not_finite = 0;       // NaN or infinity that the target cannot hold (FP8, INT)
  uint64_t wrong_constants = 0;  // constant parts of the source that say something else
  uint64_t lossy_scales = 0;     // scales that a repacking target's type does not hold
  uint64_t infinite_scales = 0;  // rows of a GGUF type with a scale beyond its range
  IntQuality quality = {};       // of rows encoded as integers

  ValueStats& operator+=(const ValueStats& other) {
    nan_codes += other.nan_codes;
    f16_overflows += other.f16_overflows;
    not_finite += other.not_finite;
    wrong_constants += other.wrong_constants;
    lossy_scales += other.lossy_scales;
    infinite_scales += other.infinite_scales;
    quality += other.quality;
    return *this;
  }
};

// Stateless, hence shareable between threads. A weight is a matrix; a vector [n] counts as [n, 1]
// when plain, so that it can be cut anywhere.
class Scheme {
 public:
  virtual ~Scheme() = default;

  virtual std::string_view name() const = 0;

  // Whether a matrix of this shape can be encoded; kUnsupported says what would fit.
  virtual Result<void> Accepts(uint64_t /*rows*/, uint64_t /*cols*/) const { return {}; }

  // Parts in a fixed order, the weight's own codes first.
  virtual std::vector<PartSpec> Parts(uint64_t rows, uint64_t cols) const = 0;

  // Rows are encoded in multiples of this, except at the end of the matrix. Decoding may begin
  // anywhere.
  virtual uint64_t row_quantum() const = 0;

  // Whether parts cannot be cut by rows, as where they lie transposed. Then PartBytes names all of
  // every part whatever the rows, and encoding or decoding some rows touches their share of it.
  virtual bool is_whole() const { return false; }

  // The bytes of part `part` that rows [begin, end) need or fill; to fill, begin is a multiple of
  // row_quantum().
  virtual ByteRange PartBytes(size_t part, uint64_t rows, uint64_t cols, RowRange range) const = 0;

  // Rows [range) as F32, row-major, from the bytes that PartBytes named. `out` holds range.size() *
  // cols.
  virtual void DecodeRows(std::span<const std::span<const std::byte>> parts, uint64_t rows,
                          uint64_t cols, RowRange range, float* out, ValueStats& stats) const = 0;

  // The inverse, rounding as the scheme's source says (docs/numerics.md). Fills every byte of
  // `parts`.
  virtual void EncodeRows(const float* in, uint64_t rows, uint64_t cols, RowRange range,
                          std::span<const std::span<std::byte>> parts, ValueStats& stats) const = 0;

  // How far rounding is expected to have moved each weight of rows [range): the root mean square,
  // which is s / sqrt(12) for a step s between the values that could be stored. Given the bytes
  // that DecodeRows takes. false: the scheme cannot say, and `out` is not touched.
  virtual bool ExpectedErrorRows(std::span<const std::span<const std::byte>> /*parts*/,
                                 uint64_t /*rows*/, uint64_t /*cols*/, RowRange /*range*/,
                                 float* /*out*/) const {
    return false;
  }
};

// A plain float type; part 0 is ".weight" of that dtype. `saturate`: F16 clips to +-65504 instead
// of becoming infinite (both are counted).
const Scheme& PlainScheme(Dtype dtype, bool saturate = false);

enum class ScaleFormat : uint8_t { kF32, kUe8m0 };  // kUe8m0: powers of two, stored as F32

// DeepSeek's block FP8: ".weight" F8_E4M3 (or F8_E5M2), ".weight_scale_inv" of
// ceil(rows/block_rows) x ceil(cols/block_cols) scales in F32 (or F8_E8M0, BF16). Only F8_E4M3
// under F32 scales can be encoded.
struct Fp8BlockArgs {
  Dtype code = Dtype::kF8E4M3;
  Dtype scale = Dtype::kF32;
  uint32_t block_rows = 128, block_cols = 128;
  ScaleFormat scale_format = ScaleFormat::kF32;  // for encoding
  // Encode with the scales that parts[1] already holds instead of computing them: gives back the
  // original codes wherever the values that were decoded with them are normal numbers.
  bool scales_given = false;
  // Encode as compressed-tensors does on a CPU: weights, scales and quotients each rounded to BF16.
  bool in_bf16 = false;
  std::string_view scale_suffix = ".weight_scale_inv";  // ".weight_scale": compressed-tensors
  std::string_view name = "fp8-block";
};
std::unique_ptr<Scheme> MakeFp8BlockScheme(const Fp8BlockArgs& args);
// compressed-tensors FP8 by channel: a block is a row, ".weight_scale" [rows, 1].
std::unique_ptr<Scheme> MakeFp8ChannelScheme(Dtype scale = Dtype::kF32, bool in_bf16 = false);

// Block FP8 as model-parallel ranks store it: equal slices of rows or of columns, each with blocks
// that begin at its own edge. The scales of all slices stand beside each other, so that cutting
// every part into as many pieces gives each rank its own. Encodes rows of one slice at a time;
// cannot decode.
struct SlicedFp8Args {
  Fp8BlockArgs block;
  uint32_t slices = 1;  // divides the side that is cut
  bool by_rows = true;
};
std::unique_ptr<Scheme> MakeSlicedFp8Scheme(const SlicedFp8Args& args);

// Rows from one scheme to another in one go: a fused kernel where there is one (block FP8 to BF16,
// F16, F32; plain to plain), else through F32 scratch in cache. Same bits either way. `range`
// begins at a multiple of to's quantum.
void Transcode(const Scheme& from, std::span<const std::span<const std::byte>> source,
               const Scheme& to, std::span<const std::span<std::byte>> target, uint64_t rows,
               uint64_t cols, RowRange range, ValueStats& stats);

// The general way, for any two schemes: a few rows at a time, at least one quantum of `to`.
void TranscodeThroughF32(const Scheme& from, std::span<const std::span<const std::byte>> source,
                         const Scheme& to, std::span<const std::span<std::byte>> target,
                         uint64_t rows, uint64_t cols, RowRange range, ValueStats& stats);

}  // namespace tessera
