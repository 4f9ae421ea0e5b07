// The output's config.json: the source's, field by field in its order, with what became untrue put
// right.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/json.h"

namespace tessera {

struct ConfigEdits {
  bool set_quantization = false;  // false: quantization_config stays as it is
  Json quantization;              // its new value; null removes it
  std::string_view dtype;         // "bfloat16", "float16", "float32"; empty: as it is
  bool without_mtp = false;       // num_nextn_predict_layers becomes 0
  std::vector<std::pair<std::string, Json>> extra = {};  // fields to set
};

Json EditConfig(Json config, const ConfigEdits& edits);

}  // namespace tessera
