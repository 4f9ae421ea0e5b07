#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "quant/ggml_blocks.h"
#include "quant/ggml_rows.h"
#include "quant/kernels/target.h"
#include "tests/quant/ggml_values.h"
#include "tests/quant/same_bits.h"

namespace tessera {
namespace {

using Bytes = std::vector<std::byte>;

Bytes Quantized(Dtype type, const GgmlRow& row, const GgmlMath& math) {
  Bytes out(GgmlRowBytes(type, row.cols));
  QuantizeGgmlRow(type, row, math, out.data());
  return out;
}

void ExpectOnEveryTarget(Dtype type, const GgmlRow& row) {
  const Bytes want = Quantized(type, row, kGgmlReferenceMath);
  for (const SimdTarget target : SupportedTargets()) {
    const ScopedTarget use(target);
    ASSERT_TRUE(SameBits(Quantized(type, row, kGgmlKernelMath), want))
        << Info(type).name << " on " << target.name() << ", " << row.cols << " columns"
        << (row.importance == nullptr ? "" : ", weighted");
  }
}

// The scalar reference is the specification: a kernel may be faster, never different.
TEST(GgmlKernel, RandomRowsMatchReferenceOnEveryTarget) {
  constexpr size_t kCols = 2048;
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (size_t kind = 0; kind < kGgmlKinds.size(); ++kind) {
    SCOPED_TRACE(kGgmlKinds[kind]);
    const std::vector<float> x = GgmlValues(kind, kCols, uint64_t{seed} << 20);
    const std::vector<float> importance = GgmlImportances(kind, kCols);
    for (const GgmlTypeInfo& info : AllGgmlTypes()) {
      ExpectOnEveryTarget(info.type, {x.data(), kCols, nullptr});
      ExpectOnEveryTarget(info.type, {x.data(), kCols, importance.data()});
    }
  }
}

// Lanes past the last block, and batches that end within a row.
TEST(GgmlKernel, EveryNumberOfBlocksMatchesReferenceOnEveryTarget) {
  constexpr size_t kMixed = 13;
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    for (size_t blocks = 1; blocks <= 18; ++blocks) {
      const size_t cols = blocks * Info(info.type).block;
      const std::vector<float> x = GgmlValues(kMixed, cols, blocks << 20);
      const std::vector<float> importance = GgmlImportances(blocks, cols);
      ExpectOnEveryTarget(info.type, {x.data(), cols, nullptr});
      ExpectOnEveryTarget(info.type, {x.data(), cols, importance.data()});
    }
  }
}

TEST(GgmlKernel, RowsLieAtAnyAddress) {
  constexpr size_t kCols = 512, kMixed = 13;
  const std::vector<float> x = GgmlValues(kMixed, kCols);
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    const Bytes want = Quantized(info.type, {x.data(), kCols, nullptr}, kGgmlReferenceMath);
    Bytes out(want.size() + 1);
    QuantizeGgmlRow(info.type, x.data(), kCols, nullptr, out.data() + 1);
    EXPECT_TRUE(SameBits(Bytes(out.begin() + 1, out.end()), want)) << Name(info.type);
    std::vector<float> values(kCols), values_at_odd(kCols);
    DequantizeGgmlRow(info.type, want.data(), kCols, values.data());
    DequantizeGgmlRow(info.type, out.data() + 1, kCols, values_at_odd.data());
    EXPECT_TRUE(SameBits(values_at_odd, values)) << Name(info.type);
  }
}

// Q8_0's own rounding, where its shortcut could differ from round(): around every half.
TEST(GgmlKernel, Q8RoundsHalvesAwayFromZero) {
  for (int half = -253; half <= 253; half += 2) {
    const float tie = static_cast<float>(half) / 2;
    std::vector<float> x(32, tie);
    x[0] = 127;  // makes the scale 1
    x[1] = std::nextafter(tie, 1000.0f);
    x[2] = std::nextafter(tie, -1000.0f);
    ExpectOnEveryTarget(Dtype::kQ8_0, {x.data(), x.size(), nullptr});
    const Bytes bytes = Quantized(Dtype::kQ8_0, {x.data(), x.size(), nullptr}, kGgmlKernelMath);
    EXPECT_EQ(LoadBlock<BlockQ8_0>(bytes.data(), 0).codes[3], std::round(tie));
  }
}

}  // namespace
}  // namespace tessera
