// A grid of coloured cells as inline SVG. Each has a line of text, shown for the cell that the
// pointer or the arrow keys choose.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

enum class CellTone : uint8_t {
  kAbsent,  // no such cell
  kExact,
  kRounded,
  // By distance from what is usual, in decibels.
  kFarBelow,
  kBelow,
  kUsual,
  kAbove,
  kFailed,
  kMissing,
  // By the share of an expert's tokens that both sides sent there.
  kAllAgree,
  kMostAgree,
  kSomeAgree,
  kFewAgree,
  kUnused,
};

struct HeatCell {
  CellTone tone = CellTone::kAbsent;
  std::string text = "";
  std::string mark = "";  // a few characters, shown in a map with named columns
};

struct HeatMap {
  std::string label;  // what it shows, for those who cannot see it
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  bool column_names = true;     // else every sixteenth is named
  std::vector<HeatCell> cells;  // row by row
};

std::string RenderHeatMap(const HeatMap& map);

// The colours that it has, with their meaning.
std::string RenderHeatLegend(const HeatMap& map);

}  // namespace tessera
