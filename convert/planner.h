// From a request and headers to a Plan. Everything that can be refused is refused here, before any
// output exists; no weight is read.
#pragma once

#include "convert/plan.h"
#include "convert/request.h"
#include "formats/result.h"

namespace tessera {

// Opens the sources of `request` and plans the run. Fails on anything invalid in the input, on
// weights without their scales, and on requests that the input cannot satisfy.
Result<Plan> MakePlan(const Request& request);

}  // namespace tessera
