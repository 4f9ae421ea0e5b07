// config.json as DeepSeek's demo code reads it: the same model under its own field names.
#pragma once

#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/result.h"

namespace tessera {

// `config` is the Hugging Face one. `fp8`: the weights are block FP8; `ue8m0`: with power-of-two
// scales. Fields that have the demo's own defaults are left out, as the published files leave them
// out.
Result<Json> DemoConfig(const Json& config, const ModelSpec& spec, bool fp8, bool ue8m0);

}  // namespace tessera
