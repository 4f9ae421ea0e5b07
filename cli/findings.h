// How findings look, as text and as JSON.
#pragma once

#include <vector>

#include "cli/terminal.h"
#include "formats/finding.h"

namespace tessera::cli {

// Finding of severity kError for a fault that a reader reports.
Finding AsFinding(const Error& error);

SortedJson FindingsJson(const std::vector<Finding>& findings);
void PrintFindings(Terminal& terminal, const std::vector<Finding>& findings);

}  // namespace tessera::cli
