// Lines over one axis as inline SVG. Each place on the axis has a line of text, shown for the one
// that the pointer or the arrow keys choose.
#pragma once

#include <string>
#include <vector>

namespace tessera {

enum class ChartMark : uint8_t { kLine, kSecondLine, kBand };  // kBand: filled down to the axis

struct ChartSeries {
  ChartMark mark{};
  std::string name;
  std::vector<double> values;  // one a place
};

// A value on the axis that is known from elsewhere.
struct ChartAnchor {
  double x;
  std::string name;
};

struct LineChart {
  std::string label;  // what it shows, for those who cannot see it
  std::string x_name, y_name;
  std::vector<double> x;           // of the places, ascending
  std::vector<std::string> texts;  // of the places
  std::vector<std::string> names;  // of the places, as they are read out
  std::vector<ChartSeries> series;
  std::vector<ChartAnchor> anchors = {};
  bool whole_x = false;               // no numbers between integers on that axis
  bool log_x = false, log_y = false;  // of a logarithmic axis, what is not positive lies at its end
  double y_min = 0, y_max = 0;        // equal: as the values have it
};

std::string RenderLineChart(const LineChart& chart);

}  // namespace tessera
