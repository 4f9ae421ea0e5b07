#include "quant/registry.h"

#include <algorithm>
#include <iterator>

#include "quant/scheme_ascend_int8.h"
#include "quant/scheme_awq.h"
#include "quant/scheme_gptq.h"
#include "quant/scheme_int.h"
#include "quant/scheme_int4_fp8.h"

namespace tessera {
namespace {

using Made = std::unique_ptr<Scheme>;

template <int bits, uint64_t group, bool symmetric = true>
Made CtPacked(const SchemeArgs& args) {
  return MakeCtPackedScheme(
      {.bits = bits, .group = group, .symmetric = symmetric, .search = args.search});
}
Made CtInt8(const SchemeArgs& args) { return MakeCtInt8Scheme(args.search); }
Made Int8Block(const SchemeArgs& args) { return MakeInt8BlockScheme(args.search); }
Made Int8Channel(const SchemeArgs& args) { return MakeInt8ChannelScheme(args.search); }
Made Ascend(const SchemeArgs& args) { return MakeAscendInt8Scheme(args.search); }
Made Awq(const SchemeArgs& args) { return MakeAwqScheme({.search = args.search}); }
template <int bits>
Made Gptq(const SchemeArgs& args) {
  return MakeGptqScheme({.bits = bits, .search = args.search});
}
Made Int4Fp8(const SchemeArgs& args) {
  return MakeInt4Fp8Scheme({.search = args.search, .input_scale = args.input_scale});
}
Made Fp8Block(const SchemeArgs&) { return MakeFp8BlockScheme({}); }
Made Fp8BlockUe8m0(const SchemeArgs&) {
  return MakeFp8BlockScheme({.scale_format = ScaleFormat::kUe8m0});
}
Made Fp8Channel(const SchemeArgs& args) {
  return MakeFp8ChannelScheme(Dtype::kF32, args.search == Search::kAbsMax);
}

Made RepackCt(const SchemeArgs& args) {
  return MakeCtPackedScheme({.bits = args.like.bits,
                             .group = args.like.group,
                             .symmetric = args.like.symmetric,
                             .scale = args.bf16_scales ? Dtype::kBF16 : args.like.scale});
}
Made RepackAwq(const SchemeArgs& args) {
  if (args.like.bits != 4 || args.like.group == 0) return nullptr;
  return MakeAwqScheme({.group = args.like.group});
}
Made RepackGptq(const SchemeArgs& args) {
  if (!args.like.symmetric || args.like.group == 0) return nullptr;
  return MakeGptqScheme({.bits = args.like.bits, .group = args.like.group});
}

constexpr SchemeRow kSchemes[] = {
    {"w4a16",
     "w4a16",
     128,
     "compressed-tensors pack-quantized, INT4, groups of 128",
     kRoutedExperts,
     CtPacked<4, 128>,
     {0.3, 0.75}},
    {"w4a16-g64",
     "w4a16",
     64,
     "the same, groups of 64",
     kRoutedExperts,
     CtPacked<4, 64>,
     {0.35, 0.4}},
    {"w4a16-g32",
     "w4a16",
     32,
     "the same, groups of 32",
     kRoutedExperts,
     CtPacked<4, 32>,
     {0.5, 0.2}},
    {"w4a16-channel",
     "w4a16",
     0,
     "the same, one scale a row",
     kRoutedExperts,
     CtPacked<4, 0>,
     {0.3, 1.7}},
    {"w4a16-asym",
     "w4a16-asym",
     128,
     "the same, groups of 128 with zero points",
     kRoutedExperts,
     CtPacked<4, 128, false>,
     {0.2, 0.45}},
    {"w8a16",
     "w8a16",
     0,
     "compressed-tensors pack-quantized, INT8, one scale a row",
     kAllButKvB,
     CtPacked<8, 0>,
     {1.2, 0.2}},
    {"w8a16-g128",
     "w8a16",
     128,
     "the same, groups of 128",
     kAllButKvB,
     CtPacked<8, 128>,
     {1.2, 0.2}},
    {"w8a8",
     "w8a8",
     0,
     "compressed-tensors int-quantized, INT8, one scale a row",
     kAllButKvB,
     CtInt8,
     {1.2, 0.2}},
    {"int8-block",
     "int8-block",
     128,
     "SGLang blockwise_int8, 128x128 blocks",
     kAllLinears,
     Int8Block,
     {6.4, 0.4, 0.08, 12}},
    {"int8-channel",
     "int8-channel",
     0,
     "SGLang w8a8_int8, one scale a row",
     kAllLinears,
     Int8Channel,
     {0.3, 0.2}},
    {.name = "w4afp8",
     .engine_name = "w4afp8",
     .group = 128,
     .on_disk = "SGLang W4AFP8: INT4 experts in groups of 128 beside FP8",
     .modules = kRoutedExperts,
     .make = Int4Fp8,
     .allowance = {0.2, 0.75},
     .rest_stays_fp8 = true,
     .needs_input_scale = true},
    {"awq",
     "awq",
     128,
     "AutoAWQ gemm, INT4, groups of 128 with zero points",
     kAllButKvB,
     Awq,
     {0.2, 0.45}},
    {"gptq4",
     "gptq4",
     128,
     "GPTQ, INT4 symmetric, groups of 128",
     kRoutedExperts,
     Gptq<4>,
     {0.3, 0.75}},
    {"gptq8", "gptq8", 128, "GPTQ, INT8 symmetric, groups of 128", kAllButKvB, Gptq<8>, {0.5, 0.2}},
    {"ascend-w8a8-dynamic",
     "ascend-w8a8-dynamic",
     0,
     "msModelSlim W8A8_DYNAMIC, one scale a row",
     kAllButKvB,
     Ascend,
     {0.3, 0.2}},
    {.name = "trtllm-w4a8",
     .engine_name = "trtllm-w4a8",
     .group = 128,
     .on_disk = "TensorRT-LLM mixed precision: INT4 experts in groups of 128 beside FP8",
     .modules = kRoutedExperts,
     .make = Int4Fp8,
     .allowance = {0.2, 0.75},
     .rest_stays_fp8 = true,
     .needs_input_scale = true},
    {"fp8-block", "fp8-block", 128, "DeepSeek FP8: 128x128 blocks, F32 scales", kFp8Linears,
     Fp8Block},
    {"fp8-block-ue8m0", "fp8-block-ue8m0", 128, "the same, scales that are powers of two",
     kFp8Linears, Fp8BlockUe8m0},
    {"fp8-channel", "fp8-channel", 0, "compressed-tensors FP8, one scale a row", kAllButKvB,
     Fp8Channel},
    {.name = "repack-ct",
     .engine_name = {},
     .group = 0,
     .on_disk = "AWQ or GPTQ as compressed-tensors pack-quantized, lossless",
     .modules = kFp8Linears,
     .make = RepackCt,
     .repacks = true},
    {.name = "repack-awq",
     .engine_name = {},
     .group = 0,
     .on_disk = "compressed-tensors or GPTQ INT4 as AWQ, lossless",
     .modules = kFp8Linears,
     .make = RepackAwq,
     .repacks = true},
    {.name = "repack-gptq",
     .engine_name = {},
     .group = 0,
     .on_disk = "compressed-tensors or AWQ as GPTQ where symmetric, lossless",
     .modules = kFp8Linears,
     .make = RepackGptq,
     .repacks = true},
};

}  // namespace

std::string_view Name(Search search) {
  switch (search) {
    case Search::kAbsMax:
      return "absmax";
    case Search::kMse:
      return "mse";
    case Search::kMseSigned:
      return "mse-signed";
  }
  return "";
}

std::span<const SchemeRow> Schemes() { return kSchemes; }

const SchemeRow* FindScheme(std::string_view name) {
  const auto row = std::ranges::find(kSchemes, name, &SchemeRow::name);
  return row == std::end(kSchemes) ? nullptr : &*row;
}

}  // namespace tessera
