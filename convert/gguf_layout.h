// A GGUF output as files: one, or several that llama.cpp's loader finds by the name of the first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "convert/plan.h"
#include "formats/gguf.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

struct GgufLayout {
  struct Place {
    uint32_t file;
    uint64_t offset;
  };
  std::vector<PlanFile> files;  // by name
  std::vector<Place> places;    // of each tensor
};

// Tensors in the given order, in files of at most `split_size` bytes of tensors (one larger than
// that has a file of its own); 0: in one file. `name` ends in .gguf; of several files the first has
// the metadata.
Result<GgufLayout> LayOutGguf(std::span<const TensorInfo> tensors, uint64_t split_size,
                              const GgufMetadata& metadata, const std::string& name);

}  // namespace tessera
