// What `verify A B --forward` says: twenty lines for people, or keys of one object.
#pragma once

#include "cli/terminal.h"
#include "verify/forward_compare.h"

namespace tessera::cli {

// The keys that a forward comparison adds to verify's object, `verdict` and `gates` included.
SortedJson ForwardJson(const ForwardComparison& comparison);

void PrintForward(const ForwardComparison& comparison, Terminal& terminal);

}  // namespace tessera::cli
