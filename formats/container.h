// One kind of output file: lays tensors out into a file and renders what stands before their bytes.
// "Placed": every offset follows from names, dtypes and shapes alone, so a plan fixes all of them
// before a weight is read.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

struct FileLayout {
  std::string header;             // the file's first bytes
  std::vector<uint64_t> offsets;  // of each tensor, from the start of the file
  uint64_t bytes = 0;             // of the whole file
};

class Container {
 public:
  virtual ~Container() = default;
  virtual std::string_view name() const = 0;
  // Places the tensors in the given order.
  virtual Result<FileLayout> Layout(std::span<const TensorInfo* const> tensors) const = 0;
};

// Hugging Face shards: `__metadata__: {"format":"pt"}`, which loaders insist on.
const Container& SafetensorsContainer();

// The same without metadata, as `safetensors.torch.save_file` writes a dictionary of tensors.
const Container& BareSafetensorsContainer();

// GGUF. Each tensor is followed by zeros up to a multiple of kGgufAlignment, the last one too:
// bytes between a tensor and the next offset, or the file's end, are nobody's to write but must be
// zero.
std::unique_ptr<Container> MakeGgufContainer(GgufMetadata metadata);

}  // namespace tessera
