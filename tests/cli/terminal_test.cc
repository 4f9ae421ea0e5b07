#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>

namespace tessera::cli {
namespace {

TEST(HumanText, BytesHaveDecimalUnitsAndNeverFourDigits) {
  for (const auto& [bytes, text] : {
           std::pair<uint64_t, const char*>{0, "0 B"},
           {999, "999 B"},
           {1000, "1.0 kB"},
           {999'949, "999.9 kB"},
           {999'950, "1.0 MB"},
           {688'574'839'360, "688.6 GB"},
           {1'368'979'721'216, "1.4 TB"},
           {std::numeric_limits<uint64_t>::max(), "18.4 EB"},
       }) {
    EXPECT_EQ(HumanBytes(bytes), text);
  }
}

TEST(HumanText, CountsAndGroups) {
  EXPECT_EQ(HumanCount(671'026'419'200), "671.0 B");
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(123456), "123,456");
  EXPECT_EQ(Grouped(91'991'000), "91,991,000");
  EXPECT_EQ(Plural(1, "shard"), "1 shard");
  EXPECT_EQ(Plural(0, "shard"), "0 shards");
}

}  // namespace
}  // namespace tessera::cli
