// One self-contained HTML file: no network, readable in light and dark, usable by keyboard. What
// fills its sections knows nothing about style sheets, and this knows nothing about tensors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"

namespace tessera {

// Text as it may stand in an element or in a quoted attribute.
std::string EscapeHtml(std::string_view text);

// Data for a script to read, as an element.
std::string EmbedJson(const Json& data);

struct PageNumber {
  std::string value, label;
};

struct PageSection {
  std::string id, title;
  std::string html;  // escaped where it has to be
};

struct Page {
  std::string title, verdict;
  bool passes = true;
  std::vector<PageNumber> numbers;  // three say it best
  std::vector<PageSection> sections;
};

std::string RenderPage(const Page& page);

struct HtmlCell {
  std::string text;
  std::string sort_key = "";  // a number where the text is none that sorts; else empty
  bool number = false;        // aligned right
  bool bad = false;
};

HtmlCell CountCell(uint64_t count);
// `format` is printf's; infinity sorts behind every number, whatever its sign says.
HtmlCell NumberCell(double value, const char* format);

// Sorted by clicking a header, or by pressing Enter on it.
std::string RenderTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<HtmlCell>>& rows);

}  // namespace tessera
