#include "verify/quality_gates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace tessera {
namespace {

constexpr uint64_t kRows = 256, kCols = 2048, kGroup = 128, kGroups = kCols / kGroup;

// Symmetric integer codes with one scale for every 128 weights, and the ways to get them wrong.
struct Quantized {
  std::vector<float> want;
  std::vector<int> codes;
  std::vector<float> scales;  // one a group

  explicit Quantized(int levels) {
    std::mt19937 random(20);
    std::student_t_distribution<float> heavy(5);
    for (uint64_t i = 0; i < kRows * kCols; ++i) want.push_back(0.02f * heavy(random));
    for (uint64_t g = 0; g < want.size(); g += kGroup) {
      float amax = 0;
      for (uint64_t i = g; i < g + kGroup; ++i) amax = std::max(amax, std::fabs(want[i]));
      scales.push_back(amax / static_cast<float>(levels));
      for (uint64_t i = g; i < g + kGroup; ++i) {
        codes.push_back(static_cast<int>(std::nearbyint(want[i] / scales.back())));
      }
    }
  }

  QualityStats Measure() const {
    std::vector<float> got(want.size()), error(want.size());
    for (uint64_t i = 0; i < want.size(); ++i) {
      got[i] = static_cast<float>(codes[i]) * scales[i / kGroup];
      error[i] = scales[i / kGroup] / std::sqrt(12.0f);
    }
    return MeasureQuality({.want = want.data(),
                           .got = got.data(),
                           .error = error.data(),
                           .rows = kRows,
                           .cols = kCols});
  }
};

std::set<std::string> Missed(StorageKind kind, const QualityStats& stats) {
  const QualityGates gates;
  std::set<std::string> missed;
  for (const GateValue& value : GateValues(kind, stats, 0)) {
    if (!gates.Passes(value)) missed.insert(std::string(Name(value.gate)));
  }
  return missed;
}

std::string Show(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + " ";
  return text;
}

TEST(QualityGates, AsQuantizedIntegersPass) {
  const QualityStats int4 = Quantized(7).Measure();
  EXPECT_EQ(Show(Missed(StorageKind::kInt4, int4)), "") << int4.sqnr();
  EXPECT_NEAR(int4.sqnr(), int4.predicted_sqnr(), 0.3);
  const QualityStats int8 = Quantized(127).Measure();
  EXPECT_EQ(Show(Missed(StorageKind::kInt8Group, int8)), "") << int8.sqnr();
  EXPECT_NEAR(int8.sqnr(), int8.predicted_sqnr(), 0.3);
}

struct Fault {
  const char* what;
  std::function<void(Quantized&)> plant;
  const char* gate;  // that catches it
};

const Fault kFaults[] = {
    {"nibbles swapped",
     [](Quantized& q) {
       for (uint64_t i = 0; i < q.codes.size(); i += 2) std::swap(q.codes[i], q.codes[i + 1]);
     },
     "predicted-gap"},
    {"zero point off by one",
     [](Quantized& q) {
       for (int& code : q.codes) ++code;
     },
     "predicted-gap"},
    {"scales shifted by a group",
     [](Quantized& q) { std::rotate(q.scales.begin(), q.scales.begin() + 1, q.scales.end()); },
     "predicted-gap"},
    {"scales shifted by a row",
     [](Quantized& q) {
       std::rotate(q.scales.begin(), q.scales.begin() + kGroups, q.scales.end());
     },
     "predicted-gap"},
    {"scale x16/15",
     [](Quantized& q) {
       for (float& scale : q.scales) scale *= 16.0f / 15.0f;
     },
     "gain"},
    {"two rows swapped",
     [](Quantized& q) {
       std::swap_ranges(&q.codes[3 * kCols], &q.codes[4 * kCols], &q.codes[90 * kCols]);
       std::swap_ranges(&q.scales[3 * kGroups], &q.scales[4 * kGroups], &q.scales[90 * kGroups]);
     },
     "worst-row"},
    {"one row zeroed", [](Quantized& q) { std::fill_n(&q.codes[77 * kCols], kCols, 0); },
     "worst-row"},
    {"one group zeroed",
     [](Quantized& q) { std::fill_n(&q.codes[50 * kCols + 3 * kGroup], kGroup, 0); },
     "worst-group"},
    {"one scale zeroed", [](Quantized& q) { q.scales[1234] = 0; }, "worst-group"},
    {"one scale's sign lost", [](Quantized& q) { q.scales[99] = -q.scales[99]; }, "worst-group"},
    {"one value NaN", [](Quantized& q) { q.scales[5] = std::numeric_limits<float>::quiet_NaN(); },
     "not-finite"},
};

TEST(QualityGates, EveryPlantedFaultIsCaughtByItsGate) {
  for (const Fault& fault : kFaults) {
    for (const int levels : {7, 127}) {
      Quantized quantized(levels);
      fault.plant(quantized);
      const StorageKind kind = levels == 7 ? StorageKind::kInt4 : StorageKind::kInt8Group;
      const std::set<std::string> missed = Missed(kind, quantized.Measure());
      const std::string gate = fault.gate == std::string("gain")
                                   ? (levels == 7 ? "gain-4bit" : "gain-8bit")
                                   : fault.gate;
      EXPECT_TRUE(missed.contains(gate))
          << fault.what << " with " << levels << " levels misses " << Show(missed);
    }
  }
}

// SQNR, prediction and gain of the whole tensor are as good as ever.
TEST(QualityGates, OneGroupOfManyIsSeenOnlyByWhatLooksAtPlaces) {
  Quantized quantized(7);
  std::fill_n(&quantized.codes[50 * kCols + 3 * kGroup], kGroup, 0);
  EXPECT_EQ(Show(Missed(StorageKind::kInt4, quantized.Measure())), "worst-group worst-row ");
}

TEST(QualityGates, OverridesReplaceALimitAndUnknownNamesAreRefusedWithTheList) {
  const std::string text[] = {"sqnr-int4=20.5", "rounding=inf"};
  const auto gates = QualityGates::WithOverrides(text);
  ASSERT_TRUE(gates) << gates.error().Text();
  EXPECT_EQ(gates->limit(Gate::kSqnrInt4), 20.5);
  EXPECT_TRUE(gates->Passes({Gate::kRounding, 1e18}));
  EXPECT_FALSE(gates->Passes({Gate::kSqnrInt4, 20}));
  EXPECT_EQ(gates->limit(Gate::kSqnrInt8), QualityGates().limit(Gate::kSqnrInt8));
  for (const std::string bad :
       {"sqnr=3", "sqnr-int4", "sqnr-int4=", "sqnr-int4=3dB", "sqnr-int4=nan", "=3", ""}) {
    const auto refused = QualityGates::WithOverrides({&bad, 1});
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), ErrorCode::kUsage) << bad;
  }
  const std::string unknown = "sqnr=3";
  const auto refused = QualityGates::WithOverrides({&unknown, 1});
  for (size_t i = 0; i < kGates; ++i) {
    EXPECT_NE(refused.error().Text().find(Name(static_cast<Gate>(i))), std::string::npos);
  }
}

TEST(QualityGates, ANumberThatIsNonePassesNothing) {
  for (size_t i = 0; i < kGates; ++i) {
    EXPECT_FALSE(QualityGates().Passes({static_cast<Gate>(i), std::nan("")})) << i;
  }
}

}  // namespace
}  // namespace tessera
