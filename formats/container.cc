#include "formats/container.h"

#include "formats/safetensors.h"

namespace tessera {
namespace {

class Safetensors final : public Container {
 public:
  explicit Safetensors(SafetensorsMetadata metadata) : metadata_(std::move(metadata)) {}

  std::string_view name() const override { return "safetensors"; }

  Result<FileLayout> Layout(std::span<const TensorInfo* const> tensors) const override {
    TESSERA_ASSIGN(std::string header, RenderSafetensorsHeader(tensors, metadata_));
    FileLayout layout{.header = std::move(header), .offsets = {}, .bytes = 0};
    layout.offsets.reserve(tensors.size());
    layout.bytes = layout.header.size();
    for (const TensorInfo* tensor : tensors) {
      layout.offsets.push_back(layout.bytes);
      if (__builtin_add_overflow(layout.bytes, tensor->bytes(), &layout.bytes)) {
        return Fail(Error(ErrorCode::kSizeOverflow, "an output file's size overflows 64 bits")
                        .Of(tensor->name()));
      }
    }
    return layout;
  }

 private:
  const SafetensorsMetadata metadata_;
};

}  // namespace

const Container& SafetensorsContainer() {
  static const Safetensors container(SafetensorsMetadata{{"format", "pt"}});
  return container;
}

const Container& BareSafetensorsContainer() {
  static const Safetensors container(SafetensorsMetadata{});
  return container;
}

}  // namespace tessera
