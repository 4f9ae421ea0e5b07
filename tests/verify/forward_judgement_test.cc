#include "verify/forward_judgement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tessera {
namespace {

// `same` of `positions` agree on the likeliest token; every other one diverges by `kl`.
ForwardComparison Measured(StorageKind kind, double kl, uint64_t same, uint64_t positions) {
  ForwardComparison comparison;
  comparison.kind = kind;
  comparison.tokens = comparison.logits.positions = positions;
  comparison.logits.identical = kl == 0;
  std::vector<double> kls, agreed;
  for (uint64_t i = 0; i < positions; ++i) {
    kls.push_back(i % 2 == 0 ? 0 : 2 * kl);
    agreed.push_back(i < same ? 1 : 0);
  }
  comparison.logits.kl = Distribution(kls);
  comparison.logits.top1 = Distribution(agreed).mean;
  comparison.layers.emplace_back();
  comparison.layers[0].error = 0.05;
  return comparison;
}

ForwardComparison Judged(ForwardComparison comparison, const std::vector<std::string>& gates = {}) {
  JudgeForward(QualityGates::WithOverrides(gates).value(), comparison);
  return comparison;
}

TEST(JudgeForward, EachKindOfStorageHasLimitsOfItsOwn) {
  const auto passes = [](StorageKind kind, double kl, uint64_t same) {
    return Judged(Measured(kind, kl, same, 10000)).passes();
  };
  EXPECT_TRUE(passes(StorageKind::kPlain, 9e-6, 9991));
  EXPECT_FALSE(passes(StorageKind::kPlain, 2e-5, 9991));
  EXPECT_FALSE(passes(StorageKind::kPlain, 9e-6, 9900));
  EXPECT_TRUE(passes(StorageKind::kInt8, 1.9e-3, 9750));
  EXPECT_FALSE(passes(StorageKind::kInt8, 3e-3, 9750));
  EXPECT_TRUE(passes(StorageKind::kInt4, 0.049, 9200));
  EXPECT_FALSE(passes(StorageKind::kInt4, 0.06, 9200));
  EXPECT_FALSE(passes(StorageKind::kInt4, 0.049, 9000));
}

// One near tie among 90 positions is 98.9 %, which is no proof of less than 99.9 %.
TEST(JudgeForward, WhatChanceExplainsIsNoMiss) {
  EXPECT_TRUE(Judged(Measured(StorageKind::kPlain, 1e-9, 89, 90)).passes());
  EXPECT_FALSE(Judged(Measured(StorageKind::kPlain, 1e-9, 8900, 9000)).passes());
}

// The error of a mean that one token carries is as large as the mean.
TEST(JudgeForward, AFewTokensThatDivergeAreNotTakenForChance) {
  for (const size_t tokens : {1U, 2U, 4U}) {
    ForwardComparison comparison = Measured(StorageKind::kPlain, 1e-9, 10000, 10000);
    std::vector<double> kls(10000, 1e-9);
    std::fill_n(kls.begin(), tokens, 5.0);
    comparison.logits.kl = Distribution(kls);
    const ForwardComparison judged = Judged(std::move(comparison));
    EXPECT_FALSE(judged.gates[0].ok) << tokens;
    EXPECT_TRUE(judged.gates[1].ok) << tokens;
  }
}

TEST(JudgeForward, OfLayersAndRoutingOnlyWhatIsAskedForIsJudged) {
  EXPECT_EQ(Judged(Measured(StorageKind::kInt4, 0.01, 990, 1000)).gates.size(), 2u);
  const auto missed = Judged(Measured(StorageKind::kInt4, 0.01, 990, 1000),
                             {"residual-error=0.04", "routing-overlap=0.9"});
  ASSERT_EQ(missed.gates.size(), 4u);
  EXPECT_FALSE(missed.gates[2].ok);
  EXPECT_EQ(missed.gates[2].value, 0.05);
  EXPECT_TRUE(missed.gates[3].ok);
  EXPECT_TRUE(missed.verdict.ends_with("; residual-error 0.05 is above 0.04")) << missed.verdict;
}

TEST(JudgeForward, TheVerdictSaysWhatWasFound) {
  EXPECT_EQ(
      Judged(Measured(StorageKind::kPlain, 0, 100, 100)).verdict,
      "B predicts exactly what A does: every logit of 100 positions is the same, bit for bit");
  ForwardComparison rounded = Measured(StorageKind::kPlain, 0, 1, 1);
  rounded.weights = WeightValues::kBf16;
  EXPECT_EQ(Judged(std::move(rounded)).verdict,
            "B predicts exactly what A does with A's weights rounded to BF16: every logit of 1 "
            "position is the same, bit for bit");
  const std::string missed = Judged(Measured(StorageKind::kInt8, 0.5, 0, 100)).verdict;
  EXPECT_EQ(missed,
            "B does not predict what A does: KL 0.5 ± 0.05 nats, the same likeliest token at "
            "0.00 % of 100 positions; kl 0.5 is above 0.002, top1 0 is below 0.975");
}

}  // namespace
}  // namespace tessera
