#include "verify/tensor_judgement.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "verify/number_text.h"

namespace tessera {
namespace {

std::string DtypeOfB(const TilePair& pair) {
  return std::string(Name(pair.b->parts[0]->info.dtype()));
}

bool HasSuperBlocks(const StoredWeight& weight) {
  return std::ranges::any_of(weight.parts, [](const TensorExtent* part) {
    return Info(part->info.dtype()).block > kQualityGroup;
  });
}

std::string FormRule(const TilePair& pair) {
  const TensorInfo &a = pair.a->parts[0]->info, &b = pair.b->parts[0]->info;
  if (a.shape() != b.shape()) return "another shape";
  for (const TensorInfo* info : {&a, &b}) {
    if (!Info(info->dtype()).is_block()) continue;
    return "values of " + std::string(Name(info->dtype())) + ", which cannot be decoded";
  }
  return "other bytes of a type that is no float";
}

void JudgeMeasured(const TilePair& pair, const TileResult& whole, const QualityGates& gates,
                   TensorComparison& tensor) {
  tensor.measured = true;
  tensor.stats = *whole.stats;
  tensor.misrounded = whole.misrounded;
  if (tensor.stats.differing == 0) {
    tensor.agreement = Agreement::kExact;
    tensor.rule = "equal values";
    return;
  }
  std::vector<GateValue> values = GateValues(tensor.kind, tensor.stats, tensor.misrounded);
  // The scales of a super-block are rounded to its largest: beside that, a group may become zeros.
  if (HasSuperBlocks(*pair.b)) {
    std::erase_if(values, [](const GateValue& value) { return value.gate == Gate::kWorstGroup; });
  }
  const bool copied = pair.same_encoding && tensor.kind != StorageKind::kPlain && whole.same_scales;
  if (copied) values.push_back({Gate::kCopied, static_cast<double>(tensor.stats.differing)});
  tensor.values = values;
  std::ranges::copy_if(values, std::back_inserter(tensor.missed),
                       [&](const GateValue& value) { return !gates.Passes(value); });
  tensor.agreement = tensor.missed.empty() ? Agreement::kWithin : Agreement::kFailed;
  if (tensor.missed.empty()) {
    tensor.rule = tensor.kind == StorageKind::kPlain ? "A rounded to " + DtypeOfB(pair)
                                                     : DtypeOfB(pair) + " within its gates";
    return;
  }
  for (const GateValue& value : tensor.missed) {
    tensor.rule += (tensor.rule.empty() ? "misses " : ", ") + std::string(Name(value.gate));
  }
}

// Of the values, the one nearest to its limit or furthest beyond it.
class TightestValues {
 public:
  explicit TightestValues(const QualityGates& gates) : gates_(gates) {}

  void Add(const GateValue& value, const std::string& tensor) {
    std::optional<GateResult>& kept = results_[static_cast<size_t>(value.gate)];
    const bool ok = gates_.Passes(value);
    const bool tighter = !kept || (Info(value.gate).at_least ? value.value < kept->value
                                                             : value.value > kept->value);
    if (!tighter && (ok || !kept->ok)) return;
    kept = GateResult{.gate = value.gate,
                      .value = value.value,
                      .limit = gates_.limit(value.gate),
                      .ok = ok,
                      .tensor = tensor};
  }

  std::vector<GateResult> InOrder() const {
    std::vector<GateResult> results;
    for (const std::optional<GateResult>& result : results_) {
      if (result) results.push_back(*result);
    }
    return results;
  }

 private:
  const QualityGates& gates_;
  std::array<std::optional<GateResult>, kGates> results_;
};

void AddCounts(const ComparisonReport& report, TightestValues& tightest) {
  uint64_t unmatched = 0, misformed = 0, int4 = 0;
  for (const UnmatchedGroup& group : report.unmatched) {
    if (!group.explained) unmatched += group.names.size();
  }
  double int4_sum = 0;
  for (const TensorComparison& tensor : report.tensors) {
    misformed += !tensor.measured && tensor.agreement == Agreement::kFailed ? 1 : 0;
    if (tensor.kind == StorageKind::kInt4 && tensor.measured && tensor.stats.noise > 0) {
      int4_sum += tensor.stats.sqnr();
      ++int4;
    }
  }
  tightest.Add({Gate::kUnmatched, static_cast<double>(unmatched)}, "");
  const std::vector<ConfigFault>& faults = report.config_faults;
  tightest.Add({Gate::kConfig, static_cast<double>(faults.size())},
               faults.empty() ? "" : faults[0].tensor);
  tightest.Add({Gate::kForm, static_cast<double>(misformed)}, "");
  if (int4 != 0) tightest.Add({Gate::kMeanSqnrInt4, int4_sum / static_cast<double>(int4)}, "");
}

std::string Count(uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// "; the MTP module (48 tensors) is only in A"
std::string ExplainedText(const ComparisonReport& report) {
  std::string text;
  for (const UnmatchedGroup& group : report.unmatched) {
    if (!group.explained) continue;
    text += "; " + group.what + " (" + Count(group.names.size(), "tensor") + ") only in " +
            (group.side == Side::kA ? "A" : "B");
  }
  return text;
}

std::string Agrees(const ComparisonReport& report) {
  const uint64_t shared = report.tensors.size();
  const std::string rest = ExplainedText(report);
  if (report.exact == shared) {
    return "B equals A: " + Count(shared, "tensor") + ", every value the same" + rest;
  }
  const auto quantized = [](const TensorComparison& t) {
    return t.agreement == Agreement::kWithin && t.kind != StorageKind::kPlain;
  };
  const TensorComparison* lowest = nullptr;
  for (const TensorComparison& tensor : report.tensors) {
    if (!quantized(tensor)) continue;
    if (lowest == nullptr || tensor.stats.sqnr() < lowest->stats.sqnr()) lowest = &tensor;
  }
  std::string text = "B is A within the gates: " + std::to_string(report.exact) + " of " +
                     Count(shared, "tensor") + " equal, ";
  if (lowest == nullptr) {
    return "B is A, rounded exactly: " + std::to_string(report.exact) + " of " +
           Count(shared, "tensor") + " equal, " + std::to_string(report.within) +
           " equal to A rounded to their type" + rest;
  }
  return text + std::to_string(report.within) + " as close as their storage allows, the lowest " +
         NumberText(lowest->stats.sqnr(), "%.2f") + " dB" + rest;
}

// Not a fault of the conversion: weights with such tails ask for more than the scheme has.
bool IsOnlyCoarse(const TensorComparison& tensor) {
  return tensor.measured && tensor.stats.predicted &&
         std::ranges::all_of(tensor.missed, [](const GateValue& value) {
           return value.gate >= Gate::kSqnrFp8 && value.gate <= Gate::kSqnr2Bit;
         });
}

std::string FailedText(const ComparisonReport& report) {
  const bool coarse = std::ranges::all_of(report.tensors, [](const TensorComparison& tensor) {
    return tensor.agreement != Agreement::kFailed || IsOnlyCoarse(tensor);
  });
  const TensorComparison& worst = *report.Worst(1)[0];
  return Count(report.failed, "tensor") + " of " + std::to_string(report.tensors.size()) +
         (coarse ? " as precise as their scales promise, but coarser than a gate allows"
                 : " not as they should be") +
         ", the worst " + worst.name + " (" + worst.rule + ")";
}

std::string Disagrees(const ComparisonReport& report) {
  std::string text = "B differs from A: ";
  if (report.failed != 0) text += FailedText(report);
  std::string missing;
  for (const UnmatchedGroup& group : report.unmatched) {
    if (group.explained) continue;
    missing += (missing.empty() ? "" : ", ") + Count(group.names.size(), "tensor") + " only in " +
               (group.side == Side::kA ? "A" : "B") + " (" +
               (group.names.size() == 1 ? group.names[0] : group.what) + ")";
  }
  if (!missing.empty()) text += (report.failed != 0 ? "; " : "") + missing;
  if (!report.config_faults.empty()) {
    const ConfigFault& fault = report.config_faults[0];
    text += (report.failed != 0 || !missing.empty() ? "; " : "") + std::string("config.json of ") +
            (fault.side == Side::kA ? "A" : "B") + " is not that of its tensors (" + fault.tensor +
            ": " + fault.rule + ")";
  } else if (report.failed == 0 && missing.empty()) {
    for (const GateResult& gate : report.gates) {
      if (!gate.ok) text += "the gate " + std::string(Name(gate.gate)) + " is missed";
    }
  }
  return text;
}

// How far from what was expected, in decibels; what is no measure of it comes first.
double Distance(const TensorComparison& tensor) {
  if (!tensor.measured) return HUGE_VAL;
  return tensor.stats.predicted ? tensor.stats.predicted_sqnr() - tensor.stats.sqnr()
                                : -tensor.stats.sqnr();
}

}  // namespace

bool NeedsMeasuring(const TilePair& pair, std::span<const TileResult> tiles) {
  return !pair.raw && !std::ranges::all_of(tiles, &TileResult::rounded) &&
         !std::ranges::all_of(tiles, [](const TileResult& t) { return t.stats != nullptr; });
}

TileResult FoldTiles(std::span<const TileResult> tiles) {
  TileResult whole{.same = true, .rounded = true};
  const bool measured =
      std::ranges::any_of(tiles, [](const TileResult& t) { return t.stats != nullptr; });
  if (measured) whole.stats = std::make_unique<QualityStats>();
  for (const TileResult& tile : tiles) {
    whole.same = whole.same && tile.same;
    whole.rounded = whole.rounded && tile.rounded;
    whole.same_scales = whole.same_scales && tile.same_scales;
    whole.misrounded += tile.misrounded;
    if (measured) whole.stats->Merge(*tile.stats);
  }
  return whole;
}

void JudgeTensor(const TilePair& pair, const TileResult& whole, const QualityGates& gates,
                 TensorComparison& tensor) {
  tensor.kind = KindOf(*pair.b);
  if (pair.raw && !(pair.same_encoding && whole.same)) {
    tensor.agreement = Agreement::kFailed;
    tensor.rule = FormRule(pair);
    tensor.missed.push_back({Gate::kForm, 1});
  } else if (whole.same) {
    tensor.agreement = Agreement::kExact;
    tensor.rule = pair.same_encoding ? "equal bytes" : "equal values";
  } else if (whole.rounded) {
    tensor.agreement = Agreement::kWithin;
    tensor.rule = "A rounded to " + DtypeOfB(pair);
    tensor.values.push_back({Gate::kRounding, 0});
  } else {
    JudgeMeasured(pair, whole, gates, tensor);
  }
}

void ConcludeReport(const QualityGates& gates, ComparisonReport& report) {
  TightestValues tightest(gates);
  for (const TensorComparison& tensor : report.tensors) {
    uint64_t* counts[] = {&report.exact, &report.within, &report.failed};
    ++*counts[static_cast<size_t>(tensor.agreement)];
    for (const GateValue& value : tensor.values) tightest.Add(value, tensor.name);
  }
  AddCounts(report, tightest);
  report.gates = tightest.InOrder();
  report.verdict = report.passes() ? Agrees(report) : Disagrees(report);
}

std::string_view Name(Agreement agreement) {
  constexpr std::string_view kNames[] = {"exact", "within", "failed"};
  return kNames[static_cast<size_t>(agreement)];
}

bool TensorComparison::WorseThan(const TensorComparison& other) const {
  if (agreement != other.agreement) return agreement > other.agreement;
  return Distance(*this) > Distance(other);
}

uint64_t ComparisonReport::Unmatched(Side side) const {
  uint64_t count = 0;
  for (const UnmatchedGroup& group : unmatched) {
    if (group.side == side) count += group.names.size();
  }
  return count;
}

bool ComparisonReport::passes() const { return std::ranges::all_of(gates, &GateResult::ok); }

std::vector<const TensorComparison*> ComparisonReport::Worst(size_t limit) const {
  std::vector<const TensorComparison*> worst;
  for (const TensorComparison& tensor : tensors) {
    const bool rounded = tensor.agreement == Agreement::kWithin && !tensor.measured;
    if (tensor.agreement != Agreement::kExact && !rounded) worst.push_back(&tensor);
  }
  std::ranges::sort(worst, [](const TensorComparison* x, const TensorComparison* y) {
    // Of equals the one with the earlier name, which is the order of `tensors`.
    return x->WorseThan(*y) || (!y->WorseThan(*x) && x < y);
  });
  worst.resize(std::min(limit, worst.size()));
  return worst;
}

}  // namespace tessera
