#include "verify/comparison_maps.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string_view>

#include "verify/number_text.h"

namespace tessera {
namespace {

constexpr std::string_view kExpertClass = "experts down_proj";

using Medians = std::map<TensorClass, double>;

bool IsLossy(const TensorComparison& tensor) {
  return tensor.measured && tensor.agreement != Agreement::kExact;
}

Medians MedianSqnr(const ComparisonReport& report) {
  std::map<TensorClass, std::vector<double>> values;
  for (const TensorComparison& tensor : report.tensors) {
    if (IsLossy(tensor)) values[tensor.place.kind].push_back(tensor.stats.sqnr());
  }
  Medians medians;
  for (auto& [kind, of_kind] : values) {
    const auto middle = of_kind.begin() + static_cast<ptrdiff_t>(of_kind.size() / 2);
    std::ranges::nth_element(of_kind, middle);
    medians[kind] = *middle;
  }
  return medians;
}

CellTone ToneOf(const TensorComparison& tensor, const Medians& medians) {
  if (tensor.agreement == Agreement::kFailed) return CellTone::kFailed;
  if (tensor.agreement == Agreement::kExact) return CellTone::kExact;
  if (tensor.kind == StorageKind::kPlain) return CellTone::kRounded;
  const double above = tensor.stats.sqnr() - medians.at(tensor.place.kind);
  if (above <= -3) return CellTone::kFarBelow;
  if (above <= -1) return CellTone::kBelow;
  return above >= 1 ? CellTone::kAbove : CellTone::kUsual;
}

std::string Describe(const TensorComparison& tensor) {
  if (!IsLossy(tensor)) return tensor.rule;
  const std::string decibels = NumberText(tensor.stats.sqnr(), "%.2f dB");
  return tensor.agreement == Agreement::kFailed ? decibels + ", " + tensor.rule : decibels;
}

// A tensor that one side lacks, placed by the name it has on the other.
struct Missing {
  TensorPlace place;
  std::string what;
};

std::vector<Missing> MissingTensors(const ComparisonReport& report) {
  std::vector<Missing> missing;
  for (const UnmatchedGroup& group : report.unmatched) {
    const std::string what = std::string("only in ") + (group.side == Side::kA ? "A" : "B");
    for (const TensorPlace& place : group.places) missing.push_back({place, what});
  }
  return missing;
}

std::string RowName(int32_t layer) { return layer < 0 ? "global" : std::to_string(layer); }

class Cell {
 public:
  void Add(const TensorComparison& tensor) {
    ++tensors_;
    if (worst_ == nullptr || tensor.WorseThan(*worst_)) worst_ = &tensor;
  }
  void AddMissing(const std::string& what) { missing_ = what; }

  HeatCell Render(const Medians& medians) const {
    if (worst_ == nullptr) {
      return missing_.empty()
                 ? HeatCell{}
                 : HeatCell{CellTone::kMissing, missing_, missing_.substr(missing_.size() - 1)};
    }
    std::string text = Describe(*worst_);
    if (tensors_ > 1) {
      text += ", the worst of " + std::to_string(tensors_);
      if (worst_->agreement != Agreement::kExact && worst_->place.expert >= 0) {
        text += " is expert " + std::to_string(worst_->place.expert);
      }
    }
    const bool lacks = !missing_.empty() && worst_->agreement != Agreement::kFailed;
    if (!missing_.empty()) text += "; others " + missing_;
    return {lacks ? CellTone::kMissing : ToneOf(*worst_, medians), std::move(text),
            IsLossy(*worst_) ? NumberText(worst_->stats.sqnr(), "%.1f") : ""};
  }

 private:
  const TensorComparison* worst_ = nullptr;
  uint64_t tensors_ = 0;
  std::string missing_;
};

template <class Column>
HeatMap Render(const ComparisonReport& report, std::string label, const std::set<int32_t>& layers,
               const std::map<Column, std::string>& columns,
               const std::map<std::pair<int32_t, Column>, Cell>& cells) {
  HeatMap map{.label = std::move(label), .rows = {}, .columns = {}, .cells = {}};
  const Medians medians = MedianSqnr(report);
  for (const auto& [column, name] : columns) map.columns.push_back(name);
  for (const int32_t layer : layers) {
    map.rows.push_back(RowName(layer));
    for (const auto& [column, name] : columns) {
      const auto cell = cells.find({layer, column});
      map.cells.push_back(cell == cells.end() ? HeatCell{} : cell->second.Render(medians));
    }
  }
  return map;
}

}  // namespace

HeatMap ClassMap(const ComparisonReport& report) {
  std::set<int32_t> layers;
  std::map<TensorClass, std::string> columns;
  std::map<std::pair<int32_t, TensorClass>, Cell> cells;
  const auto at = [&](const TensorPlace& place) -> Cell& {
    layers.insert(place.layer);
    columns[place.kind] = place.kind.label;
    return cells[{place.layer, place.kind}];
  };
  for (const TensorComparison& tensor : report.tensors) at(tensor.place).Add(tensor);
  for (const Missing& missing : MissingTensors(report)) at(missing.place).AddMissing(missing.what);
  return Render(report, "Layers by tensor class", layers, columns, cells);
}

HeatMap ExpertMap(const ComparisonReport& report) {
  std::set<int32_t> layers;
  std::map<int32_t, std::string> columns;
  std::map<std::pair<int32_t, int32_t>, Cell> cells;
  const auto at = [&](const TensorPlace& place) -> Cell& {
    layers.insert(place.layer);
    columns[place.expert] = std::to_string(place.expert);
    return cells[{place.layer, place.expert}];
  };
  for (const TensorComparison& tensor : report.tensors) {
    if (tensor.place.kind.label == kExpertClass) at(tensor.place).Add(tensor);
  }
  for (const Missing& missing : MissingTensors(report)) {
    if (missing.place.kind.label == kExpertClass) at(missing.place).AddMissing(missing.what);
  }
  HeatMap map = Render(report, "Layers by expert, down_proj", layers, columns, cells);
  map.column_names = false;
  return map;
}

}  // namespace tessera
