#include "verify/heat_map.h"

#include <algorithm>
#include <string_view>

#include "formats/json.h"
#include "verify/report_html.h"

namespace tessera {
namespace {

struct ToneInfo {
  CellTone tone;
  std::string_view css, meaning;
};

constexpr ToneInfo kTones[] = {
    {CellTone::kExact, "t-exact", "equal"},
    {CellTone::kRounded, "t-rounded", "equal to A, rounded"},
    {CellTone::kFarBelow, "t-far", "3 dB or more below its class"},
    {CellTone::kBelow, "t-below", "1 to 3 dB below"},
    {CellTone::kUsual, "t-usual", "lossy as its class is"},
    {CellTone::kAbove, "t-above", "1 dB or more above"},
    {CellTone::kFailed, "t-failed", "misses a gate"},
    {CellTone::kMissing, "t-missing", "only one side has it"},
    {CellTone::kAllAgree, "t-exact", "the same tokens"},
    {CellTone::kMostAgree, "t-rounded", "95 % or more the same"},
    {CellTone::kSomeAgree, "t-below", "75 % or more"},
    {CellTone::kFewAgree, "t-far", "fewer"},
    {CellTone::kUnused, "t-usual", "no token"},
};

// Cells are drawn in a grid of these units; the browser scales it to the page.
constexpr uint64_t kWide = 30, kNarrowest = 4, kNarrow = 14, kAcross = 1024, kHigh = 14,
                   kLabelWidth = 64, kNamedHeight = 96;
constexpr uint64_t kNumberedHeight = 18;

std::string Text(uint64_t number) { return std::to_string(number); }

class Drawing {
 public:
  explicit Drawing(const HeatMap& map)
      : map_(map),
        columns_(map.columns.size()),
        width_(map.column_names
                   ? kWide
                   : std::clamp(kAcross / std::max<uint64_t>(1, columns_), kNarrowest, kNarrow)),
        top_(map.column_names ? kNamedHeight : kNumberedHeight) {}

  std::string Render() const {
    const uint64_t width = kLabelWidth + columns_ * width_ + (map_.column_names ? 60 : 8);
    const uint64_t height = top_ + map_.rows.size() * kHigh + 4;
    std::string svg = "<div class=\"map\" tabindex=\"0\" role=\"application\" aria-label=\"" +
                      EscapeHtml(map_.label) + "; arrow keys choose a cell\">";
    svg += "<svg viewBox=\"0 0 " + Text(width) + " " + Text(height) +
           "\" style=\"max-width:" + Text(width * (map_.column_names ? 13 : 10) / 10) +
           "px\" data-left=\"" + Text(kLabelWidth) + "\" data-top=\"" + Text(top_) +
           "\" data-w=\"" + Text(width_) + "\" data-h=\"" + Text(kHigh) +
           "\" role=\"img\" aria-label=\"" + EscapeHtml(map_.label) + "\">";
    svg += RowLabels() + ColumnLabels();
    svg += "<g transform=\"translate(" + Text(kLabelWidth) + " " + Text(top_) + ")\">";
    for (const ToneInfo& tone : kTones) svg += Cells(tone);
    svg += Grid() + Crosses() + Marks() + "<rect class=\"cursor\" width=\"" + Text(width_) +
           "\" height=\"" + Text(kHigh) + "\" visibility=\"hidden\"/></g></svg>";
    return svg + "<output class=\"detail\">Point at a cell, or use the arrow keys.</output>" +
           Data() + "</div>";
  }

 private:
  const HeatCell& At(uint64_t row, uint64_t column) const {
    return map_.cells[row * columns_ + column];
  }

  std::string RowLabels() const {
    std::string svg;
    for (uint64_t r = 0; r < map_.rows.size(); ++r) {
      svg += "<text class=\"r\" x=\"" + Text(kLabelWidth - 6) + "\" y=\"" +
             Text(top_ + r * kHigh + kHigh - 4) + "\">" + EscapeHtml(map_.rows[r]) + "</text>";
    }
    return svg;
  }

  std::string ColumnLabels() const {
    std::string svg;
    const uint64_t step = map_.column_names ? 1 : 16;
    for (uint64_t c = 0; c < columns_; c += step) {
      const std::string x = Text(kLabelWidth + c * width_ + (map_.column_names ? width_ / 2 : 0));
      const std::string y = Text(top_ - 5);
      svg += "<text class=\"c\" x=\"" + x + "\" y=\"" + y + "\"" +
             (map_.column_names ? " transform=\"rotate(-45 " + x + " " + y + ")\"" : "") + ">" +
             EscapeHtml(map_.columns[c]) + "</text>";
    }
    return svg;
  }

  // Neighbours of one tone are one rectangle.
  std::string Cells(const ToneInfo& tone) const {
    std::string path;
    for (uint64_t r = 0; r < map_.rows.size(); ++r) {
      for (uint64_t c = 0; c < columns_;) {
        uint64_t end = c;
        while (end < columns_ && At(r, end).tone == tone.tone) ++end;
        if (end > c) {
          const std::string width = Text((end - c) * width_);
          path += "M" + Text(c * width_) + " " + Text(r * kHigh) + "h" + width + "v" + Text(kHigh) +
                  "h-" + width + "z";
        }
        c = std::max(end, c + 1);
      }
    }
    if (path.empty()) return "";
    return "<path class=\"" + std::string(tone.css) + "\" d=\"" + path + "\"/>";
  }

  std::string Grid() const {
    const std::string right = Text(columns_ * width_), bottom = Text(map_.rows.size() * kHigh);
    std::string path;
    for (uint64_t r = 0; r <= map_.rows.size(); ++r) path += "M0 " + Text(r * kHigh) + "h" + right;
    for (uint64_t c = 0; c <= columns_; ++c) path += "M" + Text(c * width_) + " 0v" + bottom;
    return "<path class=\"grid\" d=\"" + path + "\"/>";
  }

  // So that what fails does not rest on colour alone.
  std::string Crosses() const {
    std::string path;
    for (uint64_t i = 0; i < map_.cells.size(); ++i) {
      if (map_.cells[i].tone != CellTone::kFailed) continue;
      const uint64_t x = i % columns_ * width_ + width_ / 2, y = i / columns_ * kHigh + kHigh / 2;
      path += "M" + Text(x - 2) + " " + Text(y - 2) + "l4 4m0-4l-4 4";
    }
    return path.empty() ? "" : "<path class=\"cross\" d=\"" + path + "\"/>";
  }

  std::string Marks() const {
    std::string svg;
    for (uint64_t i = 0; map_.column_names && i < map_.cells.size(); ++i) {
      if (map_.cells[i].mark.empty() || map_.cells[i].tone == CellTone::kFailed) continue;
      svg += "<text class=\"m\" x=\"" + Text(i % columns_ * width_ + width_ / 2) + "\" y=\"" +
             Text(i / columns_ * kHigh + kHigh - 4) + "\">" + EscapeHtml(map_.cells[i].mark) +
             "</text>";
    }
    return svg;
  }

  // Texts once each, and which of them each cell has.
  std::string Data() const {
    std::vector<std::string> texts;
    for (const HeatCell& cell : map_.cells) texts.push_back(cell.text);
    std::ranges::sort(texts);
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    Json data = {{"rows", map_.rows}, {"columns", map_.columns}, {"texts", texts}};
    Json cells = Json::array();
    for (const HeatCell& cell : map_.cells) {
      cells.push_back(std::ranges::lower_bound(texts, cell.text) - texts.begin());
    }
    data["cells"] = std::move(cells);
    return EmbedJson(data);
  }

  const HeatMap& map_;
  const uint64_t columns_, width_, top_;
};

}  // namespace

std::string RenderHeatMap(const HeatMap& map) { return Drawing(map).Render(); }

std::string RenderHeatLegend(const HeatMap& map) {
  std::string html = "<ul class=\"legend\">";
  for (const ToneInfo& tone : kTones) {
    if (std::ranges::find(map.cells, tone.tone, &HeatCell::tone) == map.cells.end()) continue;
    html +=
        "<li><svg width=\"14\" height=\"14\" aria-hidden=\"true\"><path class=\"" +
        std::string(tone.css) + "\" d=\"M0 0h14v14h-14z\"/>" +
        (tone.tone == CellTone::kFailed ? "<path class=\"cross\" d=\"M4 4l6 6m0-6l-6 6\"/>" : "") +
        "</svg>" + std::string(tone.meaning) + "</li>";
  }
  return html + "</ul>";
}

}  // namespace tessera
