// Against PyTorch's answers; tests/golden/README.md says how they were made.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "quant/kernels/fp8.h"
#include "quant/kernels/round.h"
#include "quant/kernels/target.h"
#include "quant/reference.h"
#include "quant/scheme.h"
#include "tests/quant/golden_file.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

template <class T>
std::vector<T> Golden(const std::string& name) {
  return GoldenFile<T>("quant/" + name);
}

// PyTorch keeps signs and payloads of NaNs; we have one.
std::vector<float> OneNan(std::vector<float> values) {
  for (float& x : values) {
    if (std::isnan(x)) x = FromBits(0x7FC00000);
  }
  return values;
}

std::vector<uint16_t> OneNan(std::vector<uint16_t> values, uint16_t infinity, uint16_t quiet) {
  for (uint16_t& x : values) {
    if ((x & 0x7FFF) > infinity) x = quiet;
  }
  return values;
}

std::vector<uint16_t> OneNanBf16(std::vector<uint16_t> v) { return OneNan(v, 0x7F80, 0x7FC0); }
std::vector<uint16_t> OneNanF16(std::vector<uint16_t> v) { return OneNan(v, 0x7C00, 0x7E00); }

TEST(Golden, EveryFp8CodeMeansWhatPyTorchSays) {
  std::vector<float> e4m3, e5m2, e8m0;
  for (int code = 0; code < 256; ++code) {
    e4m3.push_back(reference::DecodeE4m3(static_cast<uint8_t>(code)));
    e5m2.push_back(reference::DecodeE5m2(static_cast<uint8_t>(code)));
    e8m0.push_back(reference::DecodeE8m0(static_cast<uint8_t>(code)));
  }
  EXPECT_TRUE(SameBits(e4m3, OneNan(Golden<float>("e4m3.f32.bin"))));
  EXPECT_TRUE(SameBits(OneNan(e5m2), OneNan(Golden<float>("e5m2.f32.bin"))));
  EXPECT_TRUE(SameBits(e8m0, OneNan(Golden<float>("e8m0.f32.bin"))));
}

TEST(Golden, DequantizationIsPyTorchsOnEveryTarget) {
  const auto scales = Golden<float>("scales.f32.bin");
  const auto f32 = OneNan(Golden<float>("dequant.f32.bin"));
  const auto bf16 = OneNanBf16(Golden<uint16_t>("dequant.bf16.bin"));
  const auto f16 = OneNanF16(Golden<uint16_t>("dequant.f16.bin"));
  ASSERT_EQ(f32.size(), scales.size() * 256);
  std::vector<uint8_t> codes;
  for (int code = 0; code < 256; ++code) codes.push_back(static_cast<uint8_t>(code));
  std::vector<float> by_reference(f32.size());
  for (size_t i = 0; i < scales.size(); ++i) {
    reference::DequantE4m3Row(codes, {&scales[i], 1}, 256, &by_reference[i * 256]);
  }
  EXPECT_TRUE(SameBits(by_reference, f32));
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(target.name());
    const ScopedTarget use(target);
    std::vector<float> got(f32.size());
    std::vector<uint16_t> got_bf16(f32.size()), got_f16(f32.size());
    size_t overflows = 0;
    for (size_t i = 0; i < scales.size(); ++i) {
      const kernels::Fp8Rows row{codes.data(), 1, 256, &scales[i], 256};
      kernels::Fp8ToF32(row, &got[i * 256]);
      kernels::Fp8ToBf16(row, &got_bf16[i * 256]);
      kernels::Fp8ToF16(row, false, &got_f16[i * 256], overflows);
    }
    EXPECT_TRUE(SameBits(got, f32));
    EXPECT_TRUE(SameBits(got_bf16, bf16));
    EXPECT_TRUE(SameBits(got_f16, f16));
  }
}

TEST(Golden, RoundingIsPyTorchsOnEveryTarget) {
  const auto in = Golden<float>("round.f32.bin");
  const auto bf16 = Golden<uint16_t>("round.bf16.bin");
  const auto f16 = Golden<uint16_t>("round.f16.bin");
  for (size_t i = 0; i < in.size(); ++i) {
    ASSERT_EQ(reference::RoundToBf16(in[i]), bf16[i]) << std::hexfloat << in[i];
    ASSERT_EQ(reference::RoundToF16(in[i]), f16[i]) << std::hexfloat << in[i];
  }
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(target.name());
    const ScopedTarget use(target);
    std::vector<uint16_t> got(in.size());
    kernels::F32ToBf16(in.data(), in.size(), got.data());
    EXPECT_TRUE(SameBits(got, bf16));
    kernels::F32ToF16(in.data(), in.size(), false, got.data());
    EXPECT_TRUE(SameBits(got, f16));
  }
}

TEST(Golden, EncodingIsDeepSeeksActQuantOnEveryTarget) {
  auto rows = Golden<std::byte>("act.bf16.bin");
  const uint64_t count = rows.size() / 256;
  const std::vector<std::span<const std::byte>> source = {rows};
  for (const auto& [name, format] :
       {std::pair{"float", ScaleFormat::kF32}, {"ue8m0", ScaleFormat::kUe8m0}}) {
    const auto scheme = MakeFp8BlockScheme({.block_rows = 1, .scale_format = format});
    for (const SimdTarget target : SupportedTargets()) {
      SCOPED_TRACE(testing::Message() << name << " " << target.name());
      const ScopedTarget use(target);
      std::vector<std::byte> codes(count * 128), scales(count * 4);
      const std::vector<std::span<std::byte>> parts = {codes, scales};
      ValueStats stats;
      Transcode(PlainScheme(Dtype::kBF16), source, *scheme, parts, count, 128, {0, count}, stats);
      EXPECT_TRUE(SameBits(codes, Golden<std::byte>(std::string("act.") + name + ".e4m3.bin")));
      EXPECT_TRUE(SameBits(scales, Golden<std::byte>(std::string("act.") + name + ".scale.bin")));
    }
  }
}

}  // namespace
}  // namespace tessera
