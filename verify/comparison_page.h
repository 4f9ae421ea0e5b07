// A comparison as a page that a person would rather look at.
#pragma once

#include <string>
#include <vector>

#include "verify/report_html.h"
#include "verify/tensor_compare.h"

namespace tessera {

// `command` is shown as the way to make the report again.
std::string RenderComparisonPage(const ComparisonReport& report, const std::string& command);

// The sections alone, for pages that have more.
std::vector<PageSection> ComparisonSections(const ComparisonReport& report);

}  // namespace tessera
