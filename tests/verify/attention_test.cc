#include "verify/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tessera {
namespace {

template <class T>
Matrix<T> Random(uint64_t rows, uint64_t cols, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Matrix<T> matrix(rows, cols);
  for (T& value : matrix.values()) value = static_cast<T>(normal(generator));
  return matrix;
}

struct Sizes {
  uint64_t tokens, nope, rope, v, latent;
};

template <class T>
struct Head {
  explicit Head(const Sizes& s)
      : query(Random<T>(s.tokens, s.nope + s.rope, 1)),
        latent(Random<T>(s.tokens, s.latent, 2)),
        k_rope(Random<T>(s.tokens, s.rope, 3)),
        kv_b(Random<T>(s.nope + s.v, s.latent, 4)) {}

  HeadInput<T> Input(const KeySelection* selection) const {
    return {.query = query.view(),
            .latent = latent.view(),
            .k_rope = k_rope.view(),
            .kv_b = kv_b.view(),
            .scale = 0.01,
            .selection = selection};
  }

  Matrix<T> query, latent, k_rope, kv_b;
};

// The definition, a number at a time.
Matrix<double> ByDefinition(const Head<double>& head, const Sizes& s,
                            const KeySelection& selection) {
  Matrix<double> out(s.tokens, s.v);
  const auto dot = [](const double* a, const double* b, uint64_t n) {
    double sum = 0;
    for (uint64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  };
  const auto kv = [&](uint64_t row, uint64_t key) {
    return dot(head.kv_b.view().row(row), head.latent.view().row(key), s.latent);
  };
  for (uint64_t t = 0; t < s.tokens; ++t) {
    const double* q = head.query.view().row(t);
    std::vector<double> weights(s.tokens, 0.0);
    double sum = 0;
    for (uint64_t key = 0; key <= t; ++key) {
      if (!selection.Has(t, key)) continue;
      double score = dot(q + s.nope, head.k_rope.view().row(key), s.rope);
      for (uint64_t i = 0; i < s.nope; ++i) score += q[i] * kv(i, key);
      sum += weights[key] = std::exp(score * 0.01);
    }
    for (uint64_t i = 0; i < s.v; ++i) {
      double value = 0;
      for (uint64_t key = 0; key <= t; ++key) value += weights[key] / sum * kv(s.nope + i, key);
      out.view().row(t)[i] = value;
    }
  }
  return out;
}

double WorstDifference(const Matrix<double>& a, const Matrix<double>& b) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < a.values().size(); ++i) {
    worst = std::max(worst, std::abs(a.values()[i] - b.values()[i]));
    largest = std::max(largest, std::abs(b.values()[i]));
  }
  return worst / largest;
}

KeySelection EveryThirdKey(uint64_t tokens) {
  KeySelection selection(tokens);
  for (uint64_t t = 0; t < tokens; ++t) {
    selection.Select(t, t);
    for (uint64_t key = t % 3; key < t; key += 3) selection.Select(t, key);
  }
  return selection;
}

// What a calibration weighs the V half's columns by.
TEST(Attention, MixedLatentsAreWhatTheVHalfMapsToTheOutput) {
  const Sizes s{130, 12, 4, 10, 16};
  const Head<double> head(s);
  const KeySelection selection = EveryThirdKey(s.tokens);
  Matrix<double> out(s.tokens, s.v), mixed(s.tokens, s.latent), absorbed(s.tokens, s.latent);
  HeadInput<double> input = head.Input(&selection);
  input.mixed = mixed.view();
  AttendNaive(input, out.view());
  input.mixed = absorbed.view();
  AttendAbsorbed(input, out.view());
  EXPECT_LT(WorstDifference(mixed, absorbed), 1e-12);
  Matrix<double> mapped(s.tokens, s.v);
  for (uint64_t t = 0; t < s.tokens; ++t) {
    for (uint64_t i = 0; i < s.v; ++i) {
      double sum = 0;
      for (uint64_t k = 0; k < s.latent; ++k) {
        sum += head.kv_b.view().row(s.nope + i)[k] * mixed.view().row(t)[k];
      }
      mapped.view().row(t)[i] = sum;
    }
  }
  EXPECT_LT(WorstDifference(mapped, out), 1e-12);
}

// Both forms against the definition, and so against one another, across the borders of the blocks
// of queries.
TEST(Attention, AbsorbedAndNaiveAgreeInDoubleTo1e12) {
  for (const Sizes& s :
       {Sizes{1, 8, 4, 8, 6}, Sizes{7, 16, 8, 24, 20}, Sizes{130, 12, 4, 10, 16}}) {
    const Head<double> head(s);
    for (const KeySelection& selection : {KeySelection(), EveryThirdKey(s.tokens)}) {
      const Matrix<double> expected = ByDefinition(head, s, selection);
      Matrix<double> naive(s.tokens, s.v), absorbed(s.tokens, s.v);
      AttendNaive(head.Input(&selection), naive.view());
      AttendAbsorbed(head.Input(&selection), absorbed.view());
      EXPECT_LT(WorstDifference(naive, expected), 1e-12) << s.tokens;
      EXPECT_LT(WorstDifference(absorbed, expected), 1e-12) << s.tokens;
      EXPECT_LT(WorstDifference(absorbed, naive), 1e-12) << s.tokens;
    }
  }
}

TEST(Attention, LaterTokensChangeNothing) {
  const Sizes whole{150, 12, 4, 10, 16};
  const Head<double> head(whole);
  Matrix<double> all(whole.tokens, whole.v);
  AttendNaive(head.Input(nullptr), all.view());
  for (const uint64_t tokens : {1u, 127u, 128u, 129u}) {
    HeadInput<double> input = head.Input(nullptr);
    input.query = input.query.Rows(0, tokens);
    input.latent = input.latent.Rows(0, tokens);
    input.k_rope = input.k_rope.Rows(0, tokens);
    Matrix<double> some(tokens, whole.v);
    AttendNaive(input, some.view());
    for (size_t i = 0; i < some.values().size(); ++i) {
      ASSERT_NEAR(some.values()[i], all.values()[i], 1e-12) << tokens << " tokens, value " << i;
    }
  }
}

}  // namespace
}  // namespace tessera
