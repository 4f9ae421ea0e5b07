#include "quant/kernels/target.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(SimdTarget, PlainCodeIsAlwaysThereAndLast) {
  const auto targets = SupportedTargets();
  ASSERT_FALSE(targets.empty());
  const auto last = targets.back().name();
  EXPECT_TRUE(last == "SCALAR" || last == "EMU128") << last;
}

TEST(SimdTarget, EverySupportedNameCanBeForced) {
  for (const SimdTarget target : SupportedTargets()) {
    EXPECT_TRUE(ForceSimdTarget(target.name())) << target.name();
  }
  EXPECT_TRUE(ForceSimdTarget(SupportedTargets().front().name()));
}

TEST(SimdTarget, AnUnknownNameIsRefusedWithTheKnownOnes) {
  const auto forced = ForceSimdTarget("MMX");
  ASSERT_FALSE(forced);
  EXPECT_EQ(forced.error().code(), ErrorCode::kUsage);
  for (const SimdTarget target : SupportedTargets()) {
    EXPECT_NE(forced.error().Text().find(target.name()), std::string::npos) << target.name();
  }
}

}  // namespace
}  // namespace tessera
