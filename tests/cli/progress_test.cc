#include "cli/progress.h"

#include <gtest/gtest.h>

namespace tessera::cli {
namespace {

TEST(ProgressText, SaysBytesShareRateAndTimeLeft) {
  EXPECT_EQ(ProgressText("cast", 0, 0, 0), "cast  0 B");
  EXPECT_EQ(ProgressText("cast", 12'300'000'000, 688'600'000'000, 412e6),
            "cast  12.3 GB of 688.6 GB  1.7%  412.0 MB/s  28 min left");
  EXPECT_EQ(ProgressText("cast", 10, 1000, 10), "cast  10 B of 1.0 kB  1.0%  10 B/s  99 s left");
}

TEST(ProgressText, SaysAHundredPercentOnlyAtTheEnd) {
  EXPECT_EQ(ProgressText("cast", 999'999, 1'000'000, 0), "cast  1.0 MB of 1.0 MB  99.9%");
  EXPECT_EQ(ProgressText("cast", 1000, 1000, 100), "cast  1.0 kB of 1.0 kB  100.0%  100 B/s");
}

TEST(ProgressText, LongTimesAreInHoursAndMinutes) {
  EXPECT_EQ(ProgressText("cast", 0, 36'000'000, 1000),
            "cast  0 B of 36.0 MB  0.0%  1.0 kB/s  10 h 0 min left");
}

}  // namespace
}  // namespace tessera::cli
