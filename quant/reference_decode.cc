#include "quant/reference_decode.h"

#include <cstring>

#include "quant/int_scheme.h"
#include "quant/reference.h"
#include "quant/scheme_fp8_block.h"
#include "quant/scheme_ggml.h"

namespace tessera {
namespace {

template <class T>
T Load(std::span<const std::byte> bytes, uint64_t index) {
  T value;
  std::memcpy(&value, bytes.subspan(index * sizeof(T), sizeof(T)).data(), sizeof(T));
  return value;
}

// One element of a type that needs no partner but for a factor.
float DecodeElement(Dtype dtype, std::span<const std::byte> bytes, uint64_t i) {
  switch (dtype) {
    case Dtype::kF32:
      return Load<float>(bytes, i);
    case Dtype::kBF16:
      return reference::DecodeBf16(Load<uint16_t>(bytes, i));
    case Dtype::kF16:
      return reference::DecodeF16(Load<uint16_t>(bytes, i));
    case Dtype::kF8E4M3:
      return reference::DecodeE4m3(Load<uint8_t>(bytes, i));
    case Dtype::kF8E5M2:
      return reference::DecodeE5m2(Load<uint8_t>(bytes, i));
    default:
      TESSERA_CHECK(dtype == Dtype::kF8E8M0);
      return reference::DecodeE8m0(Load<uint8_t>(bytes, i));
  }
}

// Unpacking is the scheme's own; its packing is checked against upstream's by golden files.
void DecodeIntegers(const IntScheme& scheme, const StoredWeight& weight,
                    std::span<const std::span<const std::byte>> parts, RowRange range, float* out,
                    ValueStats& stats) {
  const IntBuffer buffer(scheme.format(), range.size(), weight.cols);
  const IntRows& in = buffer.rows();
  scheme.ReadCodes(parts, weight.rows, weight.cols, range, in, stats);
  const uint64_t group = scheme.format().GroupCols(weight.cols);
  for (uint64_t i = 0; i < in.rows * in.cols; ++i) {
    const uint64_t scale = i / in.cols * in.groups + i % in.cols / group;
    out[i] = static_cast<float>(in.codes[i] - in.zeros[scale]) * in.scales[scale];
  }
}

}  // namespace

Result<void> DecodeRowsByReference(const StoredWeight& weight,
                                   std::span<const std::span<const std::byte>> parts,
                                   RowRange range, float* out, ValueStats& stats) {
  const Dtype dtype = weight.parts[0]->info.dtype();
  const uint64_t cols = weight.cols;
  // Decoders of GGUF's types are plain code.
  if (dynamic_cast<const GgmlScheme*>(weight.scheme) != nullptr) {
    weight.scheme->DecodeRows(parts, weight.rows, cols, range, out, stats);
    return {};
  }
  if (IsPlainFloat(dtype)) {
    for (uint64_t i = 0; i < range.size() * cols; ++i) out[i] = DecodeElement(dtype, parts[0], i);
    return {};
  }
  if (const auto* integers = dynamic_cast<const IntScheme*>(weight.scheme)) {
    DecodeIntegers(*integers, weight, parts, range, out, stats);
    return {};
  }
  const auto* fp8 = dynamic_cast<const Fp8BlockScheme*>(weight.scheme);
  if (fp8 == nullptr) {
    return Fail(Error(ErrorCode::kUnsupported,
                      "the reference decoder does not know " + std::string(weight.scheme->name()))
                    .Of(weight.parts[0]->info.name()));
  }
  const Fp8BlockArgs& args = fp8->args();
  const uint64_t scale_cols = (cols + args.block_cols - 1) / args.block_cols;
  for (uint64_t i = 0; i < range.size(); ++i) {
    const uint64_t scale_row = (range.begin + i) / args.block_rows - range.begin / args.block_rows;
    for (uint64_t k = 0; k < cols; ++k) {
      const uint64_t scale = scale_row * scale_cols + k / args.block_cols;
      out[i * cols + k] = reference::Scaled(DecodeElement(args.code, parts[0], i * cols + k),
                                            DecodeElement(args.scale, parts[1], scale));
    }
  }
  return {};
}

}  // namespace tessera
