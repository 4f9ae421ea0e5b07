#include "convert/config_edit.h"

namespace tessera {

Json EditConfig(Json config, const ConfigEdits& edits) {
  if (edits.set_quantization) {
    if (edits.quantization.is_null()) {
      config.erase("quantization_config");
      // msModelSlim's, which names the types of weights instead.
      for (const char* key : {"quantize", "mla_quantize", "moe_quantize", "mtp_quantize"}) {
        config.erase(key);
      }
    } else {
      config["quantization_config"] = edits.quantization;
    }
  }
  if (!edits.dtype.empty()) {
    // transformers 5 writes "dtype", earlier versions "torch_dtype"; some files carry both.
    const bool newer = config.contains("dtype");
    if (newer) config["dtype"] = edits.dtype;
    if (!newer || config.contains("torch_dtype")) config["torch_dtype"] = edits.dtype;
  }
  if (edits.without_mtp && config.contains("num_nextn_predict_layers")) {
    config["num_nextn_predict_layers"] = 0;
    // GLM-5.2 says of each layer whether it has an indexer, of MTP layers too.
    const Json layers = config.value("num_hidden_layers", Json());
    if (config.contains("indexer_types") && layers.is_number_unsigned()) {
      Json& types = config["indexer_types"];
      while (types.is_array() && types.size() > layers.get<uint64_t>())
        types.erase(types.size() - 1);
    }
  }
  for (const auto& [key, value] : edits.extra) config[key] = value;
  return config;
}

}  // namespace tessera
