#include "verify/router.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/json.h"
#include "tests/support/family_configs.h"

namespace tessera {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Logit(double p) { return std::log(p / (1 - p)); }

class RouterTest : public testing::Test {
 protected:
  // One token's routing for logits given as they come.
  Routing Choose(const std::vector<double>& logits, const std::vector<float>& bias,
                 uint32_t top_k) {
    Routing routing(top_k, 1, static_cast<uint32_t>(logits.size()));
    const ModelSpec spec;
    const Source source;
    WorkCounters counters;
    const ModelWeights weights(source, WeightValues::kStored, Decoder::kFast, counters);
    const Threads threads(1, 1);
    const LinearObserver observer;
    const HeadObserver head_observer;
    ChooseExperts({spec, config_, arithmetic_, weights, threads, observer, head_observer}, logits,
                  bias, 0, routing);
    return routing;
  }

  ForwardConfig config_;
  Arithmetic arithmetic_ = Arithmetic::kF32;
};

using Experts = std::vector<uint32_t>;

TEST_F(RouterTest, BiasChoosesButDoesNotWeigh) {
  config_.topk_method = TopkMethod::kNoauxTc;
  config_.norm_topk_prob = true;
  config_.routed_scaling_factor = 2.5;
  const Routing r = Choose({1.0, 0.0, -1.0, 2.0}, {0, 0, 3, -3}, 2);
  EXPECT_EQ(r.experts, (Experts{2, 0}));
  const double sum = Sigmoid(-1) + Sigmoid(1);
  EXPECT_NEAR(r.weights[0], 2.5 * Sigmoid(-1) / sum, 1e-7);
  EXPECT_NEAR(r.weights[1], 2.5 * Sigmoid(1) / sum, 1e-7);
  EXPECT_NEAR(r.margins[0], Sigmoid(1) - Sigmoid(0), 1e-7);
}

// Corrected scores can be negative: a mask of 0 would let experts of discarded groups in.
TEST_F(RouterTest, DiscardedGroupsStayOutThoughTheChosenOnesScoreBelowZero) {
  config_.topk_method = TopkMethod::kNoauxTc;
  config_.n_group = 2;
  config_.topk_group = 1;
  const Routing r = Choose({0, 0, 0, 0, 0, 0}, {-0.6f, -0.7f, -0.8f, -0.9f, -0.9f, -0.9f}, 3);
  EXPECT_EQ(r.experts, (Experts{0, 1, 2}));
  EXPECT_TRUE(std::isinf(r.margins[0]));
}

// Two good experts beat the one best expert.
TEST_F(RouterTest, NoauxTcRanksGroupsByTheirTwoBest) {
  config_.topk_method = TopkMethod::kNoauxTc;
  config_.n_group = 2;
  config_.topk_group = 1;
  const std::vector<double> logits = {Logit(0.9), Logit(0.1), Logit(0.6), Logit(0.6)};
  const Routing r = Choose(logits, {0, 0, 0, 0}, 1);
  EXPECT_EQ(r.experts, (Experts{2}));
  EXPECT_NEAR(r.group_margins[0], 0.2, 1e-7);
  EXPECT_NEAR(r.scores.values()[0], 0.9, 1e-7);
}

TEST_F(RouterTest, GroupLimitedGreedyRanksGroupsByTheirBest) {
  config_.topk_method = TopkMethod::kGroupLimitedGreedy;
  config_.n_group = 2;
  config_.topk_group = 1;
  config_.routed_scaling_factor = 16;
  const std::vector<double> logits = {std::log(0.4), std::log(0.1), std::log(0.25), std::log(0.25)};
  const Routing r = Choose(logits, {}, 2);
  EXPECT_EQ(r.experts, (Experts{0, 1}));
  EXPECT_NEAR(r.weights[0], 16 * 0.4, 1e-5);
  EXPECT_NEAR(r.weights[1], 16 * 0.1, 1e-5);
}

TEST_F(RouterTest, GreedyTakesTheTopOfTheSoftmaxAndOfEqualsTheFirst) {
  config_.topk_method = TopkMethod::kGreedy;
  const Routing r = Choose({std::log(1), std::log(3), std::log(3), std::log(3)}, {}, 2);
  EXPECT_EQ(r.experts, (Experts{1, 2}));
  EXPECT_NEAR(r.weights[0], 0.3, 1e-7);
  EXPECT_EQ(r.margins[0], 0);
  EXPECT_TRUE(std::isinf(r.group_margins[0]));
}

TEST_F(RouterTest, TheDemoHoldsScoresAndWeightsInBf16) {
  config_.topk_method = TopkMethod::kNoauxTc;
  config_.norm_topk_prob = true;
  arithmetic_ = Arithmetic::kFp8;
  const Routing r = Choose({0.3, 0.1}, {0, 0}, 2);
  const auto held = [](double x) { return RoundedToBf16(static_cast<float>(x)); };
  const float a = held(Sigmoid(double{held(0.3)})), b = held(Sigmoid(double{held(0.1)}));
  EXPECT_EQ(r.weights[0], held(a / held(a + b)));
  EXPECT_EQ(r.weights[1], held(b / held(a + b)));
}

}  // namespace
}  // namespace tessera
