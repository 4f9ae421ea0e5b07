#include "verify/report_page.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

#include "verify/comparison_maps.h"
#include "verify/heat_map.h"
#include "verify/report_html.h"

namespace tessera {
namespace {

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TensorComparison Lossy(std::string name, TensorPlace place, double decibels) {
  TensorComparison tensor;
  tensor.name = std::move(name);
  tensor.place = std::move(place);
  tensor.kind = StorageKind::kInt4;
  tensor.agreement = Agreement::kWithin;
  tensor.rule = "I32 within its gates";
  tensor.measured = true;
  tensor.stats.values = 1000;
  tensor.stats.signal = 1;
  tensor.stats.noise = std::pow(10, -decibels / 10);
  tensor.stats.stored = tensor.stats.dot = 1;
  return tensor;
}

TEST(EscapeHtml, NothingLeavesTheElementItIsIn) {
  EXPECT_EQ(EscapeHtml("<a href='x'>\"&\"</a>\x01\n"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;\n");
}

// Tensor names come from files that anybody may have made.
TEST(ReportPage, NamesFromFilesCannotBecomeMarkup) {
  const std::string evil = "</script><script>alert(1)</script>";
  ComparisonReport report;
  report.a.path = report.b.path = evil;
  report.verdict = evil;
  report.tensors.push_back(Lossy(evil, {.kind = {.rank = 1, .label = evil}, .layer = 0}, 15));
  report.tensors[0].rule = evil;
  report.tensors[0].agreement = Agreement::kFailed;
  report.unmatched.push_back(
      {.side = Side::kA, .rule = evil, .what = evil, .names = {evil}, .places = {{}}});
  report.gates.push_back({.gate = Gate::kRounding, .ok = false, .tensor = evil});
  ForwardComparison forward;
  forward.logits.kl = Distribution({1.0});
  forward.logits.worst.resize(1);  // of token 0
  forward.layers.resize(1);
  forward.texts[0] = evil;
  const std::string page = RenderReportPage(&report, &forward, evil);
  EXPECT_GT(Count(page, "&lt;script&gt;alert"), 5u);
  EXPECT_EQ(Count(page, "<script>alert"), 0u);
  EXPECT_EQ(Count(page, "<script"), Count(page, "</script>"));
}

// Every expert of V3 with a value of its own, and 500 tensors that fail.
TEST(ReportPage, OfTheLargestModelsStaysBelowTwoMegabytes) {
  ComparisonReport report;
  std::mt19937 random(1);
  std::uniform_real_distribution<double> decibels(14, 18);
  for (int32_t layer = 3; layer < 62; ++layer) {
    for (int32_t expert = 0; expert < 384; ++expert) {
      int32_t rank = 0;
      for (const char* projection : {"gate_proj", "up_proj", "down_proj"}) {
        const std::string name = "model.layers." + std::to_string(layer) + ".mlp.experts." +
                                 std::to_string(expert) + "." + projection + ".weight";
        const std::string label = std::string("experts ") + projection;
        report.tensors.push_back(Lossy(
            name, {.kind = {rank++, label}, .layer = layer, .expert = expert}, decibels(random)));
        if (random() % 100 == 0) {
          report.tensors.back().agreement = Agreement::kFailed;
          report.tensors.back().rule = "misses sqnr-int4, predicted-gap, worst-row, worst-group";
        }
      }
    }
  }
  const std::string page = RenderReportPage(&report, nullptr, "tessera verify a b");
  EXPECT_LT(page.size(), 2'000'000u);
  EXPECT_GT(page.size(), 100'000u);
  EXPECT_EQ(page, RenderReportPage(&report, nullptr, "tessera verify a b"));
}

// As many layers and experts as the largest models have, all different, tensors and predictions.
ForwardComparison LargestForward(std::mt19937& random) {
  ForwardComparison forward;
  std::uniform_real_distribution<double> kl(0, 1);
  std::uniform_int_distribution<uint32_t> tokens(0, 999);
  std::vector<double> values;
  for (int i = 0; i < 4096; ++i) values.push_back(kl(random));
  forward.logits.kl = Distribution(values);
  forward.logits.worst.resize(kWorstTokens);
  for (uint32_t layer = 0; layer < 61; ++layer) {
    LayerComparison& entry = forward.layers.emplace_back();
    entry.layer = layer;
    entry.error = entry.worst_error = kl(random);
    if (layer == 0) continue;
    RoutingComparison& routing = entry.routing.emplace();
    for (int expert = 0; expert < 384; ++expert) {
      routing.load_a.push_back(1000 + tokens(random));
      routing.load_b.push_back(1000 + tokens(random));
      routing.shared.push_back(tokens(random));
    }
    forward.routing.tokens += 4096;
  }
  return forward;
}

TEST(ReportPage, OfTheLargestModelsPredictionsStaysBelowTwoMegabytes) {
  std::mt19937 random(2);
  const ForwardComparison forward = LargestForward(random);
  const std::string page = RenderReportPage(nullptr, &forward, "tessera verify a b --forward");
  EXPECT_LT(page.size(), 2'000'000u);
  EXPECT_GT(page.size(), 100'000u);
}

// Divergences of 0 lie at the end of a logarithmic axis; nothing else has a place there.
TEST(ReportPage, OfEqualCheckpointsItHasNoNumberThatIsNone) {
  ForwardComparison forward;
  forward.logits.kl = Distribution(std::vector<double>(10, 0.0));
  forward.layers.resize(3);
  const std::string page = RenderReportPage(nullptr, &forward, "");
  EXPECT_EQ(Count(page, "\"nan") + Count(page, "Lnan") + Count(page, " nan") + Count(page, "inf "),
            0u);
}

TEST(ComparisonMaps, TheWorstTensorOfACellGivesItsColourAndText) {
  ComparisonReport report;
  const TensorClass experts{.rank = 5, .label = "experts down_proj"};
  const TensorClass norm{.rank = 2, .label = "input norm"};
  for (int32_t expert = 0; expert < 8; ++expert) {
    report.tensors.push_back(
        Lossy("e", {.kind = experts, .layer = 3, .expert = expert}, expert == 6 ? 11 : 15));
  }
  report.tensors.push_back(Lossy("n", {.kind = norm, .layer = 3}, 0));
  report.tensors.back().agreement = Agreement::kExact;
  report.unmatched.push_back({.side = Side::kB,
                              .rule = "missing-tensor",
                              .what = "single tensors",
                              .names = {"x"},
                              .places = {{.kind = norm, .layer = 4}}});
  const HeatMap classes = ClassMap(report);
  EXPECT_EQ(classes.rows, (std::vector<std::string>{"3", "4"}));
  EXPECT_EQ(classes.columns, (std::vector<std::string>{"input norm", "experts down_proj"}));
  ASSERT_EQ(classes.cells.size(), 4u);
  EXPECT_EQ(classes.cells[0].tone, CellTone::kExact);
  EXPECT_EQ(classes.cells[1].tone, CellTone::kFarBelow);
  EXPECT_EQ(classes.cells[1].text, "11.00 dB, the worst of 8 is expert 6");
  EXPECT_EQ(classes.cells[2].tone, CellTone::kMissing);
  EXPECT_EQ(classes.cells[3].tone, CellTone::kAbsent);
  const HeatMap by_expert = ExpertMap(report);
  ASSERT_EQ(by_expert.cells.size(), 8u);
  EXPECT_EQ(by_expert.cells[6].tone, CellTone::kFarBelow);
  EXPECT_EQ(by_expert.cells[5].tone, CellTone::kUsual);
}

}  // namespace
}  // namespace tessera
