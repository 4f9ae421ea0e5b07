#include "cli/step_dealer.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace tessera::cli {
namespace {

constexpr Answer kNo{0}, kYes{1};

TEST(StepDealer, TheOthersEnterOnceTheFirstHasAskedForSteps) {
  StepDealer dealer(3);
  dealer.SetUnits({0, 5});
  EXPECT_EQ(dealer.Try(2, {Question::kEnter}), std::nullopt);
  EXPECT_EQ(dealer.Try(0, {Question::kEnter}), kYes);
  EXPECT_EQ(dealer.Try(2, {Question::kEnter}), std::nullopt);
  EXPECT_EQ(dealer.Try(0, {Question::kNext}), std::nullopt);
  EXPECT_EQ(dealer.Try(2, {Question::kEnter}), kYes);
}

TEST(StepDealer, NobodyGetsStepsBeforeAllHaveAsked) {
  StepDealer dealer(3);
  dealer.SetUnits({0, 5, 9});
  for (const uint32_t rank : {0u, 2u, 0u, 2u}) {
    EXPECT_EQ(dealer.Try(rank, {Question::kNext}), std::nullopt);
  }
  EXPECT_EQ(dealer.Try(1, {Question::kNext}), (Answer{0, 5}));
  EXPECT_EQ(dealer.Try(0, {Question::kNext}), (Answer{5, 9}));
  EXPECT_EQ(dealer.Try(2, {Question::kNext}), Answer{});
  EXPECT_EQ(dealer.Try(2, {Question::kNext}), Answer{});
}

TEST(StepDealer, EveryStepIsDealtOnce) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const auto ranks = static_cast<uint32_t>(1 + random() % 9);
    std::vector<size_t> cuts = {0};
    for (size_t unit = random() % 40; unit > 0; --unit) cuts.push_back(cuts.back() + random() % 4);
    StepDealer dealer(ranks);
    dealer.SetUnits(cuts);
    std::set<uint32_t> busy;
    for (uint32_t rank = 0; rank < ranks; ++rank) busy.insert(rank);
    std::vector<int> dealt(cuts.back());
    while (!busy.empty()) {
      const uint32_t rank = static_cast<uint32_t>(random() % ranks);
      const auto answer = dealer.Try(rank, {Question::kNext});
      if (!answer) continue;
      for (uint64_t step = answer->a; step < answer->b; ++step) ++dealt[step];
      if (answer->a == answer->b) busy.erase(rank);
    }
    EXPECT_EQ(dealt, std::vector<int>(dealt.size(), 1));
  }
}

TEST(StepDealer, TheFirstFailureStopsAllAndIsEverybodysExitCode) {
  StepDealer dealer(3);
  dealer.SetUnits({0, 5, 9});
  for (const uint32_t rank : {0u, 1u}) EXPECT_EQ(dealer.Try(rank, {Question::kNext}), std::nullopt);
  EXPECT_EQ(dealer.Try(2, {Question::kFail, 4}), kYes);
  EXPECT_EQ(dealer.Try(1, {Question::kFail, 3}), kNo);
  EXPECT_EQ(dealer.Try(1, {Question::kEnter}), kNo);
  EXPECT_EQ(dealer.Try(0, {Question::kNext}), Answer{});
  EXPECT_EQ(dealer.Try(0, {Question::kLeave}), kNo);
  EXPECT_EQ(dealer.Try(2, {Question::kEnd, 4}), std::nullopt);
  EXPECT_EQ(dealer.Try(1, {Question::kEnd, 3}), std::nullopt);
  EXPECT_EQ(dealer.Try(0, {Question::kEnd, 0}), Answer{4});
  for (const uint32_t rank : {1u, 2u}) EXPECT_EQ(dealer.Try(rank, {Question::kEnd, 0}), Answer{4});
}

TEST(StepDealer, TheFirstRankCompletesTheOutputAfterAllOthersHaveEnded) {
  StepDealer dealer(3);
  dealer.SetUnits({0, 5});
  EXPECT_EQ(dealer.Try(0, {Question::kLeave, 1, 2}), std::nullopt);
  EXPECT_EQ(dealer.Try(1, {Question::kLeave, 10, 20}), kNo);
  EXPECT_EQ(dealer.Try(2, {Question::kLeave, 100, 200}), kNo);
  EXPECT_EQ(dealer.Try(1, {Question::kEnd, 0}), std::nullopt);
  EXPECT_EQ(dealer.Try(0, {Question::kLeave, 1, 2}), std::nullopt);
  EXPECT_EQ(dealer.Try(2, {Question::kEnd, 0}), std::nullopt);
  EXPECT_EQ(dealer.Try(0, {Question::kLeave, 1, 2}), kYes);
  EXPECT_EQ(dealer.others_read(), 110u);
  EXPECT_EQ(dealer.others_written(), 220u);
  // An answer of "no" is the job's result, not a failure.
  EXPECT_EQ(dealer.Try(0, {Question::kEnd, 1}), Answer{1});
  EXPECT_EQ(dealer.Try(1, {Question::kEnd, 0}), Answer{1});
}

TEST(StepDealer, AfterTheFirstHasEndedNobodyEnters) {
  StepDealer dealer(2);
  EXPECT_EQ(dealer.Try(0, {Question::kEnd, 0}), std::nullopt);
  EXPECT_EQ(dealer.Try(1, {Question::kEnter}), kNo);
}

}  // namespace
}  // namespace tessera::cli
