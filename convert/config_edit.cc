#include "convert/config_edit.h"

namespace tessera {

Json EditConfig(Json config, const ConfigEdits& edits) {
  if (edits.set_quantization) {
    if (edits.quantization.is_null()) {
      config.erase("quantization_config");
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
  }
  return config;
}

}  // namespace tessera
