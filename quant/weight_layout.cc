#include "quant/weight_layout.h"

#include <optional>

#include "quant/scheme_ascend_int8.h"
#include "quant/scheme_awq.h"
#include "quant/scheme_gptq.h"
#include "quant/scheme_int.h"
#include "quant/scheme_int4_fp8.h"

namespace tessera {
namespace {

using enum WeightLayout;

constexpr Dtype kE4m3[] = {Dtype::kF8E4M3};
constexpr Dtype kFp8[] = {Dtype::kF8E4M3, Dtype::kF8E5M2};
constexpr Dtype kInt8[] = {Dtype::kI8};
constexpr Dtype kInt32[] = {Dtype::kI32};
constexpr Dtype kOnlyF32[] = {Dtype::kF32};
constexpr Dtype kOnlyF16[] = {Dtype::kF16};
constexpr Dtype kF32OrBf16[] = {Dtype::kF32, Dtype::kBF16};
constexpr Dtype kF32OrE8M0[] = {Dtype::kF32, Dtype::kF8E8M0};
constexpr Dtype kFloats[] = {Dtype::kF32, Dtype::kBF16, Dtype::kF16};
constexpr Dtype kBf16First[] = {Dtype::kBF16, Dtype::kF16, Dtype::kF32};

// In the order of the enum.
constexpr LayoutInfo kLayouts[] = {
    {kFp8Block, "fp8-block", ".weight", kFp8, ".weight_scale_inv", kF32OrE8M0},
    {kFp8BlockCt, "fp8-block-ct", ".weight", kFp8, ".weight_scale", kF32OrBf16},
    {kFp8Channel, "fp8-channel", ".weight", kE4m3, ".weight_scale", kF32OrBf16},
    {kInt8Block, "int8-block", ".weight", kInt8, ".weight_scale_inv", kOnlyF32},
    {kInt8Channel, "int8-channel", ".weight", kInt8, ".weight_scale", kFloats},
    {kInt8Offset, "int8-offset", ".weight", kInt8, ".weight_scale", kOnlyF32},
    {kInt4Bytes, "int4-bytes", ".weight", kInt8, ".weight_scale_inv", kOnlyF32},
    {kPacked, "pack-quantized", ".weight_packed", kInt32, ".weight_scale", kBf16First},
    {kAwq, "awq", ".qweight", kInt32, ".scales", kOnlyF16},
    {kGptq, "gptq", ".qweight", kInt32, ".scales", kOnlyF16},
};

}  // namespace

const LayoutInfo& Info(WeightLayout layout) {
  const LayoutInfo& info = kLayouts[static_cast<size_t>(layout)];
  TESSERA_CHECK(info.layout == layout);
  return info;
}

std::string_view Name(WeightLayout layout) { return Info(layout).name; }

Shape ShapeOfWeight(const QuantGroup& group, const Shape& codes, const Shape* expected) {
  const uint64_t per_word = 32 / group.bits;
  switch (group.layout) {
    case kInt4Bytes:
      return {codes[0], codes[1] * 2};
    case kAwq:
      return {codes[1] * per_word, codes[0]};
    case kGptq:
      return {codes[1], codes[0] * per_word};
    case kPacked:
      if (expected != nullptr && expected->size() == 2 &&
          ((*expected)[1] + per_word - 1) / per_word == codes[1]) {
        return {codes[0], (*expected)[1]};
      }
      return {codes[0], codes[1] * per_word};
    default:
      return codes;
  }
}

std::unique_ptr<Scheme> MakeDecoder(const QuantGroup& group, const QuantArgs& args,
                                    const PartTypes& types) {
  switch (group.layout) {
    case kFp8Block:
    case kFp8BlockCt:
      return MakeFp8BlockScheme({.code = types.code,
                                 .scale = types.scale,
                                 .block_rows = args.block_rows,
                                 .block_cols = args.block_cols,
                                 .scale_suffix = Info(group.layout).scale});
    case kFp8Channel:
      return MakeFp8ChannelScheme(types.scale);
    case kInt8Block:
      return MakeInt8BlockScheme(Search::kAbsMax, args.block_rows, args.block_cols);
    case kInt8Channel:
      return MakeCtInt8Scheme(Search::kAbsMax, types.scale);
    case kInt8Offset:
      return MakeAscendInt8Scheme(Search::kAbsMax);
    case kInt4Bytes:
      return MakeInt4Fp8Scheme({.search = Search::kAbsMax, .input_scale = std::nullopt});
    case kPacked:
      return MakeCtPackedScheme({.bits = static_cast<int>(group.bits),
                                 .group = group.group_size,
                                 .symmetric = group.symmetric,
                                 .search = Search::kAbsMax,
                                 .scale = types.scale,
                                 .shape = types.shape});
    case kAwq:
      return MakeAwqScheme({.group = group.group_size, .search = Search::kAbsMax});
    case kGptq:
      break;
  }
  return MakeGptqScheme(
      {.bits = static_cast<int>(group.bits),
       .group = group.group_size,
       .search = Search::kAbsMax,
       .symmetric = group.symmetric,
       .zeros = group.zeros_as_stored ? GptqZeros::kPlain : GptqZeros::kMinusOne});
}

}  // namespace tessera
