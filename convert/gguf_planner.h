// The Plan of a GGUF file: every tensor of the model, or the stack of experts that it is one of,
// under llama.cpp's names and in the order in which llama-quantize writes them.
#pragma once

#include "convert/plan.h"
#include "convert/request.h"
#include "formats/result.h"

namespace tessera {

// `request.gguf` is set. Fails on all that MakePlan fails on, and on what GGUF or llama.cpp's
// loader cannot express.
Result<Plan> MakeGgufPlan(const Request& request);

}  // namespace tessera
