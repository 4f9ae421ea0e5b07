#include "formats/container.h"

#include <utility>

#include "formats/safetensors.h"

namespace tessera {
namespace {

// Tensors one after the other behind the header, each padded to the alignment.
Result<FileLayout> LayOut(std::string header, std::span<const TensorInfo* const> tensors,
                          uint64_t alignment) {
  FileLayout layout{.header = std::move(header), .offsets = {}, .bytes = 0};
  layout.offsets.reserve(tensors.size());
  layout.bytes = layout.header.size();
  for (const TensorInfo* tensor : tensors) {
    layout.offsets.push_back(layout.bytes);
    if (__builtin_add_overflow(layout.bytes, PadTo(tensor->bytes(), alignment), &layout.bytes)) {
      return Fail(Error(ErrorCode::kSizeOverflow, "an output file's size overflows 64 bits")
                      .Of(tensor->name()));
    }
  }
  return layout;
}

class Safetensors final : public Container {
 public:
  explicit Safetensors(SafetensorsMetadata metadata) : metadata_(std::move(metadata)) {}

  std::string_view name() const override { return "safetensors"; }

  Result<FileLayout> Layout(std::span<const TensorInfo* const> tensors) const override {
    TESSERA_ASSIGN(std::string header, RenderSafetensorsHeader(tensors, metadata_));
    return LayOut(std::move(header), tensors, 1);
  }

 private:
  const SafetensorsMetadata metadata_;
};

class Gguf final : public Container {
 public:
  explicit Gguf(GgufMetadata metadata) : metadata_(std::move(metadata)) {}

  std::string_view name() const override { return "gguf"; }

  Result<FileLayout> Layout(std::span<const TensorInfo* const> tensors) const override {
    TESSERA_ASSIGN(std::string header, RenderGgufHeader(metadata_, tensors));
    return LayOut(std::move(header), tensors, kGgufAlignment);
  }

 private:
  const GgufMetadata metadata_;
};

}  // namespace

std::unique_ptr<Container> MakeGgufContainer(GgufMetadata metadata) {
  return std::make_unique<Gguf>(std::move(metadata));
}

const Container& SafetensorsContainer() {
  static const Safetensors container(SafetensorsMetadata{{"format", "pt"}});
  return container;
}

const Container& BareSafetensorsContainer() {
  static const Safetensors container(SafetensorsMetadata{});
  return container;
}

}  // namespace tessera
