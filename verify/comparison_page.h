// A tensor comparison as sections of a page.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "verify/report_html.h"
#include "verify/tensor_compare.h"

namespace tessera {

// The three that say it best.
std::vector<PageNumber> ComparisonNumbers(const ComparisonReport& report);
std::vector<PageSection> ComparisonSections(const ComparisonReport& report);

// What other comparisons share.
PageSection GateSection(std::string id, std::string title, const std::string& text,
                        std::span<const GateResult> gates);
PageSection SizeSection(const ComparedSide& a, const ComparedSide& b);

}  // namespace tessera
