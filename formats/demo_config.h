// config.json as DeepSeek's demo code reads it: the same model under its own field names, both
// ways.
#pragma once

#include <cstdint>
#include <string>

#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/result.h"

namespace tessera {

// `config` is the Hugging Face one. `fp8`: the weights are block FP8; `ue8m0`: with power-of-two
// scales. Fields that have the demo's own defaults are left out, as the published files leave them
// out. What the demo fixes in code (rms_norm_eps, norm_topk_prob, the layout of an indexer's heads)
// becomes a field where the model has another value: the demo then stops at it.
Result<Json> DemoConfig(const Json& config, const ModelSpec& spec, bool fp8, bool ue8m0);

// What the demo's config does not say and the weights beside it do.
struct DemoContents {
  uint32_t mtp_layers = 0;
  bool indexer = false;
  std::string torch_dtype = "bfloat16";  // of the weights that are not FP8
};

// The way back, with the demo's defaults for the fields that are left out. A field that the demo
// does not know is kBadConfig: misspelt, it would turn into a default. What the demo fixes in code
// becomes a field.
Result<Json> HfConfig(const Json& demo, const DemoContents& contents);

// The order in which the published config.json files have their fields.
Json SortedByKey(const Json& json);

}  // namespace tessera
