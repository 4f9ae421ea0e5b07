// What `verify A B` says: twenty lines for people, or one object.
#pragma once

#include <span>

#include "cli/terminal.h"
#include "verify/tensor_compare.h"

namespace tessera::cli {

SortedJson ComparisonJson(const ComparisonReport& report);
void PrintComparison(const ComparisonReport& report, Terminal& terminal);

// What other comparisons share.
void PrintVerdict(const std::string& verdict, bool passes, Terminal& terminal);
void PrintSides(const ComparedSide& a, const ComparedSide& b, Terminal& terminal);
SortedJson GatesJson(std::span<const GateResult> gates);
void PrintGates(std::span<const GateResult> gates, Terminal& terminal);

}  // namespace tessera::cli
