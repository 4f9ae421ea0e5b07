#include "verify/line_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "verify/number_text.h"
#include "verify/report_html.h"

namespace tessera {
namespace {

constexpr double kWidth = 1000, kHeight = 300, kLeft = 64, kRight = 20, kTop = 30, kBottom = 40;

// Values along one side of the drawing.
class Axis {
 public:
  Axis(double least, double most, bool log, double from, double to)
      : log_(log), least_(log ? std::log10(least) : least), from_(from), to_(to) {
    most_ = log ? std::log10(most) : most;
    if (log) {
      least_ = std::floor(least_ + 1e-9);
      most_ = std::max(least_ + 1, std::ceil(most_ - 1e-9));
    } else if (most_ <= least_) {
      most_ = least_ + 1;
    }
  }

  double Place(double value) const {
    const double at = log_ ? (value > 0 ? std::log10(value) : least_) : value;
    return from_ + (to_ - from_) * (std::clamp(at, least_, most_) - least_) / (most_ - least_);
  }

  // Where to write a number: whole powers of ten, or round steps.
  std::vector<double> Ticks(bool whole = false) const {
    constexpr double kMostTicks = 10;
    double step = 1;
    if (log_) {
      step = std::ceil((most_ - least_) / kMostTicks);
    } else {
      const double power = std::pow(10, std::floor(std::log10((most_ - least_) / kMostTicks)));
      for (const double times : {1.0, 2.0, 5.0, 10.0}) {
        step = times * power;
        if ((most_ - least_) / step <= kMostTicks && (step >= 1 || !whole)) break;
      }
    }
    std::vector<double> ticks;
    for (double at = std::ceil(least_ / step - 1e-9) * step; at <= most_ + step * 1e-6;
         at += step) {
      ticks.push_back(log_ ? std::pow(10, at) : at + 0.0);  // no -0
    }
    return ticks;
  }

 private:
  bool log_;
  double least_, most_ = 0, from_, to_;
};

Axis AxisOf(std::vector<double> values, bool log, double from, double to) {
  if (log) std::erase_if(values, [](double value) { return !(value > 0); });
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return Axis(log ? 0.1 : 0, 1, log, from, to);
  const auto [least, most] = std::ranges::minmax(values);
  return Axis(least, most, log, from, to);
}

std::string At(double place) { return NumberText(place, "%.1f"); }

class Drawing {
 public:
  explicit Drawing(const LineChart& chart)
      : chart_(chart),
        x_(AxisOf(XValues(chart), chart.log_x, kLeft, kWidth - kRight)),
        y_(AxisOf(YValues(chart), chart.log_y, kHeight - kBottom, kTop)) {}

  std::string Render() const {
    std::string svg = "<div class=\"chart\" tabindex=\"0\" role=\"application\" aria-label=\"" +
                      EscapeHtml(chart_.label) + "; arrow keys choose a place\">" + Legend();
    svg += "<svg viewBox=\"0 0 " + At(kWidth) + " " + At(kHeight) +
           "\" role=\"img\" aria-label=\"" + EscapeHtml(chart_.label) + "\">";
    for (const ChartSeries& series : chart_.series) {
      if (series.mark == ChartMark::kBand) svg += Path(series);
    }
    svg += Scales() + Anchors();
    for (const ChartSeries& series : chart_.series) {
      if (series.mark != ChartMark::kBand) svg += Path(series);
    }
    svg += "<path class=\"cursor\" visibility=\"hidden\" d=\"M0 " + At(kTop) + "V" +
           At(kHeight - kBottom) + "\"/></svg>";
    return svg + "<output class=\"detail\">Point at the chart, or use the arrow keys.</output>" +
           Data() + "</div>";
  }

 private:
  static std::vector<double> XValues(const LineChart& chart) {
    std::vector<double> values = chart.x;
    for (const ChartAnchor& anchor : chart.anchors) values.push_back(anchor.x);
    return values;
  }

  static std::vector<double> YValues(const LineChart& chart) {
    if (chart.y_min != chart.y_max) return {chart.y_min, chart.y_max};
    std::vector<double> values;
    for (const ChartSeries& series : chart.series) {
      values.insert(values.end(), series.values.begin(), series.values.end());
    }
    if (!chart.log_y) values.push_back(0);
    return values;
  }

  static std::string_view ClassOf(ChartMark mark) {
    if (mark == ChartMark::kBand) return "band";
    return mark == ChartMark::kLine ? "line" : "line second";
  }

  std::string Legend() const {
    constexpr std::string_view kSwatches[] = {"s-line", "s-second", "s-band"};
    std::string html = "<ul class=\"legend\">";
    for (const ChartSeries& series : chart_.series) {
      html += "<li><span class=\"swatch " +
              std::string(kSwatches[static_cast<size_t>(series.mark)]) + "\"></span>" +
              EscapeHtml(series.name) + "</li>";
    }
    return html + "</ul>";
  }

  std::string Path(const ChartSeries& series) const {
    std::string path;
    for (size_t i = 0; i < chart_.x.size(); ++i) {
      path +=
          (i == 0 ? "M" : "L") + At(x_.Place(chart_.x[i])) + " " + At(y_.Place(series.values[i]));
    }
    if (series.mark == ChartMark::kBand && !chart_.x.empty()) {
      const std::string base = At(kHeight - kBottom);
      path += "L" + At(x_.Place(chart_.x.back())) + " " + base + "L" +
              At(x_.Place(chart_.x.front())) + " " + base + "z";
    }
    return "<path class=\"" + std::string(ClassOf(series.mark)) + "\" d=\"" + path + "\"/>";
  }

  std::string Label(std::string_view css, double x, double y, const std::string& text) const {
    return "<text class=\"" + std::string(css) + "\" x=\"" + At(x) + "\" y=\"" + At(y) + "\">" +
           EscapeHtml(text) + "</text>";
  }

  std::string Scales() const {
    std::string svg, lines;
    for (const double tick : y_.Ticks()) {
      const double at = y_.Place(tick);
      lines += "M" + At(kLeft) + " " + At(at) + "H" + At(kWidth - kRight);
      svg += Label("y", kLeft - 6, at + 4, NumberText(tick, "%.4g"));
    }
    for (const double tick : x_.Ticks(chart_.whole_x)) {
      const double at = x_.Place(tick);
      lines += "M" + At(at) + " " + At(kHeight - kBottom) + "v4";
      svg += Label("x", at, kHeight - kBottom + 16, NumberText(tick, "%.4g"));
    }
    svg += Label("x", (kLeft + kWidth - kRight) / 2, kHeight - 6, chart_.x_name);
    svg += Label("", 4, 12, chart_.y_name);
    return "<path class=\"axis\" d=\"" + lines + "\"/>" + svg;
  }

  std::string Anchors() const {
    std::string svg;
    for (const ChartAnchor& anchor : chart_.anchors) {
      const double at = x_.Place(anchor.x);
      svg += "<path class=\"anchor\" d=\"M" + At(at) + " " + At(kTop) + "V" +
             At(kHeight - kBottom) + "\"/>" + Label("x", at, kTop - 6, anchor.name);
    }
    return svg;
  }

  std::string Data() const {
    std::vector<std::string> texts = chart_.texts;
    std::ranges::sort(texts);
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    Json data = {{"rows", {chart_.label}}, {"columns", chart_.names}, {"texts", texts}};
    data["cells"] = Json::array();
    data["at"] = Json::array();
    for (size_t i = 0; i < chart_.x.size(); ++i) {
      data["cells"].push_back(std::ranges::lower_bound(texts, chart_.texts[i]) - texts.begin());
      data["at"].push_back(std::round(x_.Place(chart_.x[i]) * 10) / 10);
    }
    return EmbedJson(data);
  }

  const LineChart& chart_;
  const Axis x_, y_;
};

}  // namespace

std::string RenderLineChart(const LineChart& chart) { return Drawing(chart).Render(); }

}  // namespace tessera
