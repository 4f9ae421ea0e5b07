// A comparison, of tensors or predictions or both, as one page that a person would rather look at.
#pragma once

#include <string>

#include "verify/forward_compare.h"
#include "verify/tensor_compare.h"

namespace tessera {

// At least one of the two is given. `command` is shown as the way to make the page again.
std::string RenderReportPage(const ComparisonReport* tensors, const ForwardComparison* forward,
                             const std::string& command);

}  // namespace tessera
