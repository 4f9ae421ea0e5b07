// From a request and headers to a Plan. Everything that can be refused is refused here, before any
// output exists; no weight is read but for --dedup-mtp, which has to compare some.
#pragma once

#include "convert/plan.h"
#include "convert/request.h"
#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

// Opens the sources of `request` and plans the run. Fails on anything invalid in the input, on
// weights without their scales, and on requests that the input cannot satisfy. `check` is asked
// while weights are read.
Result<Plan> MakePlan(
    const Request& request, const StopCheck& check = [] { return Result<void>(); });

}  // namespace tessera
