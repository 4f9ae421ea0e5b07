#include "convert/gguf_layout.h"

#include "formats/container.h"
#include "formats/shard_name.h"

namespace tessera {
namespace {

constexpr size_t kMaxFiles = 65535;  // split.count has 16 bits

std::vector<std::vector<const TensorInfo*>> Split(std::span<const TensorInfo> tensors,
                                                  uint64_t split_size) {
  std::vector<std::vector<const TensorInfo*>> files(1);
  uint64_t used = 0;
  for (const TensorInfo& tensor : tensors) {
    if (split_size != 0 && used != 0 && used + tensor.bytes() > split_size) {
      files.emplace_back();
      used = 0;
    }
    used += tensor.bytes();
    files.back().push_back(&tensor);
  }
  return files;
}

// The types are those that the loader insists on.
void PutSplit(size_t file, size_t files, size_t tensors, GgufMetadata& metadata) {
  metadata.emplace_back("split.no", static_cast<uint16_t>(file));
  metadata.emplace_back("split.count", static_cast<uint16_t>(files));
  metadata.emplace_back("split.tensors.count", static_cast<int32_t>(tensors));
}

}  // namespace

Result<GgufLayout> LayOutGguf(std::span<const TensorInfo> tensors, uint64_t split_size,
                              const GgufMetadata& metadata, const std::string& name) {
  const std::vector<std::vector<const TensorInfo*>> files = Split(tensors, split_size);
  if (files.size() > kMaxFiles) {
    return Fail(Error(ErrorCode::kUnsupported, "too many split files")
                    .Expected("at most " + std::to_string(kMaxFiles))
                    .Found(std::to_string(files.size()))
                    .Next("give a larger --split-size"));
  }
  GgufLayout layout;
  for (size_t i = 0; i < files.size(); ++i) {
    GgufMetadata keys = i == 0 ? metadata : GgufMetadata();
    std::string file_name = name;
    if (files.size() > 1) {
      PutSplit(i, files.size(), tensors.size(), keys);
      const ShardName shard{.prefix = name.substr(0, name.size() - kGgufEnding.size()),
                            .number = i + 1,
                            .count = files.size()};
      file_name = ToString(shard, kGgufEnding);
    }
    Result<FileLayout> placed = MakeGgufContainer(std::move(keys))->Layout(files[i]);
    if (!placed) return Fail(std::move(placed).error().Within(file_name));
    for (const uint64_t offset : placed->offsets) {
      layout.places.push_back({static_cast<uint32_t>(i), offset});
    }
    layout.files.push_back(
        {.name = file_name, .header = std::move(placed->header), .bytes = placed->bytes});
  }
  return layout;
}

}  // namespace tessera
