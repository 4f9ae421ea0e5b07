#include "verify/logits_compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace tessera {
namespace {

Matrix<float> Normal(std::mt19937& random, uint64_t rows, uint64_t cols, float scale) {
  std::normal_distribution<float> normal(0, scale);
  Matrix<float> matrix(rows, cols);
  for (float& value : matrix.values()) value = normal(random);
  return matrix;
}

Matrix<float> Disturbed(const Matrix<float>& matrix, std::mt19937& random, float scale) {
  Matrix<float> other = Normal(random, matrix.rows(), matrix.cols(), scale);
  for (size_t i = 0; i < other.values().size(); ++i) other.values()[i] += matrix.values()[i];
  return other;
}

class LogitsCompareTest : public testing::Test {
 protected:
  LogitComparison Compare(const Matrix<float>& a, const Matrix<float>& b, uint64_t chunk) {
    LogitComparer comparer(text_, threads_);
    for (uint64_t begin = 0; begin < a.rows(); begin += chunk) {
      const uint64_t end = std::min(begin + chunk, a.rows());
      comparer.Add(a.view().Rows(begin, end), b.view().Rows(begin, end));
    }
    return comparer.Finish();
  }

  std::vector<uint32_t> Text(std::mt19937& random, uint64_t tokens, uint32_t vocab) {
    std::uniform_int_distribution<uint32_t> token(0, vocab - 1);
    std::vector<uint32_t> text(tokens);
    for (uint32_t& id : text) id = token(random);
    return text;
  }

  std::mt19937 random_{1};
  std::vector<uint32_t> text_ = Text(random_, 200, 50);
  Threads threads_{2};
};

std::vector<long double> Softmax(std::span<const float> logits) {
  long double sum = 0;
  std::vector<long double> p;
  for (const float logit : logits) p.push_back(std::exp(static_cast<long double>(logit)));
  for (const long double x : p) sum += x;
  for (long double& x : p) x /= sum;
  return p;
}

TEST_F(LogitsCompareTest, EqualLogitsDivergeByExactlyNothing) {
  const Matrix<float> a = Normal(random_, 200, 50, 30);
  const LogitComparison same = Compare(a, a, 64);
  EXPECT_TRUE(same.identical);
  EXPECT_EQ(same.kl.sorted.back(), 0);
  EXPECT_EQ(same.kl.mean.value, 0);
  EXPECT_EQ(same.top1.value, 1);
  EXPECT_EQ(same.text->ln_ratio.value, 0);
  EXPECT_EQ(same.text->rms_delta_p.value, 0);
  EXPECT_NEAR(same.text->correlation, 1, 1e-12);
}

TEST_F(LogitsCompareTest, EveryFigureIsItsDefinition) {
  const Matrix<float> a = Normal(random_, 200, 50, 3), b = Disturbed(a, random_, 0.3f);
  const LogitComparison got = Compare(a, b, 64);
  EXPECT_FALSE(got.identical);
  long double kl = 0, same = 0, ratio = 0, square = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    const auto p = Softmax(a.view().Row(i)), q = Softmax(b.view().Row(i));
    for (size_t k = 0; k < p.size(); ++k) kl += p[k] * std::log(p[k] / q[k]) / 200;
    same += std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin();
    if (i + 1 == 200) break;
    const uint32_t next = text_[i + 1];
    ratio += std::log(p[next] / q[next]) / 199;
    square += (q[next] - p[next]) * (q[next] - p[next]) / 199;
  }
  EXPECT_NEAR(got.kl.mean.value, static_cast<double>(kl), 1e-12);
  EXPECT_EQ(got.top1.value, static_cast<double>(same / 200));
  EXPECT_LT(got.top1.value, 1);
  EXPECT_NEAR(got.text->ln_ratio.value, static_cast<double>(ratio), 1e-12);
  EXPECT_NEAR(got.text->ratio.value, got.text->ppl_b.value / got.text->ppl_a.value, 1e-9);
  EXPECT_NEAR(got.text->rms_delta_p.value, static_cast<double>(std::sqrt(square)), 1e-12);
}

// The text goes through in pieces of 512 positions; nothing may depend on where they end.
TEST_F(LogitsCompareTest, PiecesMakeNoDifference) {
  const Matrix<float> a = Normal(random_, 200, 50, 3), b = Disturbed(a, random_, 0.3f);
  const LogitComparison whole = Compare(a, b, 200);
  for (const uint64_t chunk : {1U, 7U, 199U}) {
    const LogitComparison pieces = Compare(a, b, chunk);
    EXPECT_EQ(pieces.kl.sorted, whole.kl.sorted);
    EXPECT_EQ(pieces.text->delta_p.sorted, whole.text->delta_p.sorted);
    ASSERT_EQ(pieces.worst.size(), kWorstTokens);
    for (size_t i = 0; i < kWorstTokens; ++i) {
      EXPECT_EQ(pieces.worst[i].position, whole.worst[i].position);
    }
  }
}

TEST_F(LogitsCompareTest, TheWorstTokensAreTheLargestDivergencesWithWhatBothExpected) {
  const Matrix<float> a = Normal(random_, 200, 50, 3), b = Disturbed(a, random_, 0.3f);
  const LogitComparison got = Compare(a, b, 64);
  ASSERT_EQ(got.worst.size(), kWorstTokens);
  for (size_t i = 0; i < kWorstTokens; ++i) {
    const WorstToken& worst = got.worst[i];
    EXPECT_EQ(worst.kl, got.kl.sorted[199 - i]);
    EXPECT_EQ(worst.token, text_[worst.position]);
    const auto p = Softmax(a.view().Row(worst.position));
    if (worst.position < 199) {
      EXPECT_EQ(worst.next, text_[worst.position + 1]);
      EXPECT_NEAR(*worst.p_a, static_cast<double>(p[*worst.next]), 1e-12);
    }
    ASSERT_EQ(worst.top_a.size(), kWorstTokenTops);
    EXPECT_EQ(worst.top_a[0].token, got.top_a[worst.position]);
    EXPECT_EQ(worst.top_b[0].token, got.top_b[worst.position]);
    EXPECT_NEAR(worst.top_a[0].probability, static_cast<double>(std::ranges::max(p)), 1e-12);
  }
}

TEST_F(LogitsCompareTest, OneTokenHasNoNextOne) {
  text_.resize(1);
  const Matrix<float> a = Normal(random_, 1, 50, 3), b = Disturbed(a, random_, 0.3f);
  const LogitComparison got = Compare(a, b, 1);
  EXPECT_FALSE(got.text);
  EXPECT_EQ(got.worst[0].next, std::nullopt);
  EXPECT_EQ(got.kl.mean.error, 0);
}

TEST(Quantile, IsLinearBetweenNeighbours) {
  const std::vector<double> sorted = {1, 2, 4, 8};
  EXPECT_EQ(Quantile(sorted, 0), 1);
  EXPECT_EQ(Quantile(sorted, 0.5), 3);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.9), 6.8);
  EXPECT_EQ(Quantile(sorted, 1), 8);
}

}  // namespace
}  // namespace tessera
