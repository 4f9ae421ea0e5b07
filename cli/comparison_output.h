// What `verify A B` says: twenty lines for people, or one object.
#pragma once

#include "cli/terminal.h"
#include "verify/tensor_compare.h"

namespace tessera::cli {

void PrintComparison(const ComparisonReport& report, Terminal& terminal);

}  // namespace tessera::cli
