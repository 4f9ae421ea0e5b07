// GGUF's block types against the gates of their kind: as quantized they pass, misread they do not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "quant/ggml_rows.h"
#include "quant/scheme_ggml.h"
#include "verify/quality_gates.h"

namespace tessera {
namespace {

constexpr uint64_t kRows = 64, kCols = 2048;

using Bytes = std::vector<std::byte>;

std::vector<float> Weights() {
  std::mt19937 random(6);
  std::student_t_distribution<float> heavy(5);
  std::vector<float> weights(kRows * kCols);
  for (float& x : weights) x = 0.02f * heavy(random);
  return weights;
}

Bytes Quantized(Dtype type, const std::vector<float>& weights) {
  const size_t row_bytes = GgmlRowBytes(type, kCols);
  Bytes stored(kRows * row_bytes);
  for (uint64_t row = 0; row < kRows; ++row) {
    QuantizeGgmlRow(type, weights.data() + row * kCols, kCols, nullptr,
                    stored.data() + row * row_bytes);
  }
  return stored;
}

StorageKind KindOf(Dtype type) {
  const TensorExtent tensor{TensorInfo::Make("x.weight", type, {kRows, kCols}).value(), 0, 0};
  return tessera::KindOf({"x.weight", &GgmlMatrixScheme(type), kRows, kCols, {&tensor}});
}

std::set<std::string> Missed(Dtype type, const std::vector<float>& want, const Bytes& stored) {
  std::vector<float> got(want.size()), errors(want.size());
  ValueStats stats;
  const Scheme& scheme = GgmlMatrixScheme(type);
  const std::span<const std::byte> part(stored);
  scheme.DecodeRows({&part, 1}, kRows, kCols, {0, kRows}, got.data(), stats);
  EXPECT_TRUE(scheme.ExpectedErrorRows({&part, 1}, kRows, kCols, {0, kRows}, errors.data()));
  const QualityStats quality = MeasureQuality({.want = want.data(),
                                               .got = got.data(),
                                               .error = errors.data(),
                                               .rows = kRows,
                                               .cols = kCols});
  const QualityGates gates;
  std::set<std::string> missed;
  for (const GateValue& value : GateValues(KindOf(type), quality, 0)) {
    if (!gates.Passes(value)) {
      missed.insert(std::string(Name(value.gate)) + "=" + std::to_string(value.value));
    }
  }
  return missed;
}

std::string Show(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + " ";
  return text;
}

TEST(GgmlGates, AsQuantizedEveryTypePasses) {
  const std::vector<float> weights = Weights();
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    EXPECT_NE(KindOf(info.type), StorageKind::kPlain) << Name(info.type);
    EXPECT_NE(KindOf(info.type), StorageKind::kOther) << Name(info.type);
    EXPECT_EQ(Show(Missed(info.type, weights, Quantized(info.type, weights))), "")
        << Name(info.type);
  }
}

TEST(GgmlGates, MisreadNoTypePasses) {
  const std::vector<float> weights = Weights();
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    const Bytes good = Quantized(info.type, weights);
    const auto block = static_cast<ptrdiff_t>(Info(info.type).block_bytes());
    const auto row = static_cast<ptrdiff_t>(GgmlRowBytes(info.type, kCols));
    Bytes shifted = good;
    std::ranges::rotate(shifted, shifted.begin() + block);
    EXPECT_FALSE(Missed(info.type, weights, shifted).empty()) << Name(info.type) << " by a block";
    Bytes swapped = good;
    std::swap_ranges(swapped.begin(), swapped.begin() + row, swapped.begin() + 40 * row);
    EXPECT_FALSE(Missed(info.type, weights, swapped).empty()) << Name(info.type) << ", two rows";
    Bytes nibbles = good;
    for (std::byte& byte : nibbles) {
      byte = (byte & std::byte{0xF0}) | ((byte ^ std::byte{1}) & std::byte{0x0F});
    }
    EXPECT_FALSE(Missed(info.type, weights, nibbles).empty()) << Name(info.type) << ", low bits";
  }
}

// Of kv_b_proj the coarser half decides; plain halves are plain.
TEST(GgmlGates, OfSeveralTypesTheCoarsestDecides) {
  const auto kind = [](Dtype k, Dtype v) {
    const TensorExtent keys{TensorInfo::Make("x.k_b", k, {2, 64, 32}).value(), 0, 0};
    const TensorExtent values{TensorInfo::Make("x.v_b", v, {2, 32, 64}).value(), 0, 0};
    const auto scheme =
        MakeGgmlKvBScheme({.heads = 2, .nope = 32, .v = 32, .k_type = k, .v_type = v});
    return tessera::KindOf({"x.weight", scheme.get(), 128, 64, {&keys, &values}});
  };
  EXPECT_EQ(kind(Dtype::kQ8_0, Dtype::kQ5_0), StorageKind::k5Bit);
  EXPECT_EQ(kind(Dtype::kQ5_0, Dtype::kQ8_0), StorageKind::k5Bit);
  EXPECT_EQ(kind(Dtype::kBF16, Dtype::kQ8_0), StorageKind::kInt8Group);
  EXPECT_EQ(kind(Dtype::kBF16, Dtype::kBF16), StorageKind::kPlain);
}

}  // namespace
}  // namespace tessera
