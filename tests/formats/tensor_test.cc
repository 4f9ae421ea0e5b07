#include "formats/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tessera {
namespace {

constexpr uint64_t k2To(int power) { return uint64_t{1} << power; }

TEST(TensorInfo, SizesFollowFromShapeForEveryDtype) {
  for (const DtypeInfo& row : AllDtypes()) {
    const auto info = TensorInfo::Make("t", row.dtype, {3, 8u * row.block});
    ASSERT_TRUE(info) << row.name;
    EXPECT_EQ(info->elements(), 24u * row.block);
    EXPECT_EQ(info->bytes(), 3u * row.block_bits) << row.name;
  }
  EXPECT_EQ(TensorInfo::Make("s", Dtype::kF32, {})->bytes(), 4u);
}

TEST(TensorInfo, OnlyWholeBytesForEveryDtypeAndCount) {
  for (const DtypeInfo& row : AllDtypes()) {
    if (row.is_block()) continue;
    for (uint64_t n = 0; n <= 16; ++n) {
      const auto info = TensorInfo::Make("t", row.dtype, {n});
      EXPECT_EQ(info.has_value(), n * row.block_bits % 8 == 0) << row.name << " " << n;
      if (!info) {
        EXPECT_EQ(info.error().code(), ErrorCode::kPartialByte);
      }
    }
  }
}

TEST(TensorInfo, RowsOfABlockTypeAreWholeBlocks) {
  for (const DtypeInfo& row : AllDtypes()) {
    if (!row.is_block()) continue;
    for (uint64_t n = 0; n <= 2u * row.block; ++n) {
      // The rows' width counts, not how many values there are in all.
      const auto info = TensorInfo::Make("t", row.dtype, {row.block, n});
      ASSERT_EQ(info.has_value(), n % row.block == 0) << row.name << " " << n;
      if (!info) {
        EXPECT_EQ(info.error().code(), ErrorCode::kBadShape);
      }
    }
    EXPECT_FALSE(TensorInfo::Make("t", row.dtype, {})) << row.name;
  }
  EXPECT_EQ(TensorInfo::Make("t", Dtype::kQ4_K, {256, 2048, 7168})->bytes(), 2113929216u);
}

TEST(TensorInfo, OverflowIsFoundWhateverTheOrder) {
  struct Case {
    Dtype dtype;
    Shape shape;
    bool good;
  };
  const Case cases[] = {
      {Dtype::kU8, {k2To(40), k2To(20)}, true},   // 2^60 bytes, 2^63 bits
      {Dtype::kU8, {k2To(40), k2To(21)}, false},  // 2^64 bits
      {Dtype::kF4, {k2To(40), k2To(21)}, true},
      {Dtype::kU64, {k2To(40), k2To(17)}, true},
      {Dtype::kU64, {k2To(40), k2To(18)}, false},
      {Dtype::kU8, {k2To(32), k2To(32)}, false},  // wraps to 0 elements
      {Dtype::kU8, {k2To(32), k2To(32), 3}, false},
      {Dtype::kU8, {k2To(33), k2To(32), k2To(40)}, false},
      {Dtype::kU8, {k2To(47), k2To(47), 0}, true},
      {Dtype::kQ8_0, {k2To(30), k2To(30)}, true},  // 2^60 values, 1.06 * 2^63 bits
      {Dtype::kQ8_0, {k2To(31), k2To(30)}, false},
  };
  for (Case c : cases) {
    std::ranges::sort(c.shape);
    do {
      const auto info = TensorInfo::Make("t", c.dtype, c.shape);
      EXPECT_EQ(info.has_value(), c.good) << ToString(c.shape);
      if (!info) {
        EXPECT_EQ(info.error().code(), ErrorCode::kSizeOverflow);
      }
    } while (std::ranges::next_permutation(c.shape).found);
  }
}

TEST(TensorInfo, BoundsRankAndDimensions) {
  EXPECT_TRUE(TensorInfo::Make("t", Dtype::kU8, Shape(kMaxRank, 1)));
  const auto deep = TensorInfo::Make("t", Dtype::kU8, Shape(kMaxRank + 1, 1));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code(), ErrorCode::kRankTooLarge);
  EXPECT_TRUE(TensorInfo::Make("t", Dtype::kU8, {kMaxDim}));
  const auto wide = TensorInfo::Make("t", Dtype::kU8, {0, kMaxDim + 1});
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().code(), ErrorCode::kBadShape);
  EXPECT_EQ(wide.error().tensor(), "t");
}

TEST(TensorInfo, DescribesItselfAsTheFormatSpells) {
  EXPECT_EQ(TensorInfo::Make("t", Dtype::kF8E4M3, {7168, 2048})->Describe(),
            "F8_E4M3 [7168, 2048]");
  EXPECT_EQ(TensorInfo::Make("t", Dtype::kF32, {})->Describe(), "F32 []");
}

TEST(TensorView, TakesExactlyTheBytesOfItsShape) {
  const auto info = TensorInfo::Make("t", Dtype::kF32, {2});
  const std::vector<std::byte> bytes(16);
  for (size_t n = 0; n <= bytes.size(); ++n) {
    const auto view = TensorView::Make(*info, std::span(bytes).first(n));
    EXPECT_EQ(view.has_value(), n == 8) << n;
    if (!view) {
      EXPECT_EQ(view.error().code(), ErrorCode::kSizeMismatch);
    }
  }
}

}  // namespace
}  // namespace tessera
