// A forward comparison as sections of a page.
#pragma once

#include <vector>

#include "verify/forward_compare.h"
#include "verify/report_html.h"

namespace tessera {

std::vector<PageNumber> ForwardNumbers(const ForwardComparison& comparison);
std::vector<PageSection> ForwardSections(const ForwardComparison& comparison);

}  // namespace tessera
