#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "quant/ggml_rows.h"
#include "quant/ggml_types.h"

namespace tessera {
namespace {

double Square(double x) { return x * x; }

// By how many decibels the noise of rounding is above what is expected.
double Excess(Dtype type, const std::vector<float>& x, const float* importance) {
  std::vector<std::byte> stored(GgmlRowBytes(type, x.size()));
  std::vector<float> values(x.size()), errors(x.size());
  QuantizeGgmlRow(type, x.data(), x.size(), importance, stored.data());
  DequantizeGgmlRow(type, stored.data(), x.size(), values.data());
  ExpectGgmlErrors(type, stored.data(), x.size(), errors.data());
  double noise = 0, expected = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    noise += Square(values[i] - x[i]);
    expected += Square(errors[i]);
  }
  return 10 * std::log10(noise / expected);
}

// Searches clip and refit, so that there may be less noise than even spreading gives.
TEST(GgmlErrors, NoiseIsWhatScalesPredictOrLess) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::student_t_distribution<float> heavy(5);
  std::vector<float> gauss(1 << 16), tails(1 << 16), importance(1 << 16);
  for (float& x : gauss) x = normal(random);
  for (float& x : tails) x = 0.02f * heavy(random);
  for (float& w : importance) w = std::exp(50 * normal(random));
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    for (const std::vector<float>* x : {&gauss, &tails}) {
      for (const float* weights : {static_cast<const float*>(nullptr), std::as_const(importance).data()}) {
        const double excess = Excess(info.type, *x, weights);
        EXPECT_LT(excess, 0.3) << Name(info.type);
        EXPECT_GT(excess, -1.6) << Name(info.type);
      }
    }
  }
}

}  // namespace
}  // namespace tessera
