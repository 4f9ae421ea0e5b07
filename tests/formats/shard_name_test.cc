#include "formats/shard_name.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(ShardName, RoundTripsEveryHabitOfTheReleases) {
  for (const char* name :
       {"model-00001-of-000163.safetensors", "model-00163-of-000163.safetensors",
        "model-1-of-61.safetensors", "model-10-of-61.safetensors", "model-61-of-61.safetensors",
        "model-00001-of-00004.safetensors", "quant-model-00002-of-00010.safetensors",
        "model-00100-of-00100.safetensors"}) {
    const std::optional<ShardName> parsed = ParseShardName(name);
    ASSERT_TRUE(parsed.has_value()) << name;
    EXPECT_EQ(ToString(*parsed), name);
  }
}

TEST(ShardName, RefusesOtherForms) {
  for (const char* name :
       {"model.safetensors", "model-1-of-.safetensors", "-of-.safetensors",
        "model-1of2.safetensors", "1-of-2.safetensors", "model-a-of-2.safetensors",
        "model-1-of-2.bin", "model--of-2.safetensors", "model-1-of-2x.safetensors",
        "model-99999999999999999999-of-2.safetensors"}) {
    EXPECT_FALSE(ParseShardName(name).has_value()) << name;
  }
}

TEST(ShardName, ReadsTheDemoSRankFiles) {
  const std::optional<RankShardName> name = ParseRankShardName("model3-mp16.safetensors");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->rank, 3u);
  EXPECT_EQ(name->count, 16u);
  EXPECT_EQ(ToString(*name), "model3-mp16.safetensors");
  for (const char* other :
       {"model-mp16.safetensors", "model3-mp.safetensors", "model3mp16.safetensors",
        "model3-mp16.bin", "xmodel3-mp16.safetensors", "model3-mp1x.safetensors"}) {
    EXPECT_FALSE(ParseRankShardName(other).has_value()) << other;
  }
}

TEST(ShardName, KeepsThePaddingWhenRenumbered) {
  ShardName name = *ParseShardName("model-00163-of-000163.safetensors");
  name.number = 7;
  name.count = 160;
  EXPECT_EQ(ToString(name), "model-00007-of-000160.safetensors");
}

}  // namespace
}  // namespace tessera
