// What a calibration run measured, as far as quantizing needs it: the largest magnitude that ever
// entered each linear.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/file.h"
#include "formats/hash.h"
#include "formats/result.h"

namespace tessera {

// Read from what `calibrate` writes, or from a safetensors file of F32 scalars (shape [1] or []),
// by linear: "model.layers.3.mlp.experts.0.gate_proj.input_amax". Scales as TensorRT-LLM's
// calibration writes them, "....w1.input_scale" = amax / 448, are understood too; w1, w3, w2 are
// gate_proj, up_proj, down_proj. Other tensors are not looked at.
//
// An expert that no token reached has the largest maximum of its layer's other experts.
class Calibration {
 public:
  // kBadCalibration names the tensor that is not one positive, finite F32 number, and the linear
  // that has two different ones.
  static Result<Calibration> Read(const std::filesystem::path& path);

  // Of a linear by its checkpoint name, "model.layers.3.mlp.experts.0.gate_proj". O(log n).
  std::optional<float> InputAmax(std::string_view module) const;

  // Over all names and values: what a plan depends on.
  Digest digest() const;

 private:
  Result<void> ReadSafetensors(const File& file);
  Result<void> ReadGguf(const File& file);
  Result<void> SortByName(const std::filesystem::path& path);

  std::vector<std::pair<std::string, float>> amax_;  // by name
};

// What a file of `calibrate` calls the maxima of a linear, or of the experts that it is one of:
// "model.layers.3.mlp.experts.gate_proj.input_amax".
std::string InputAmaxName(std::string_view module);

}  // namespace tessera
