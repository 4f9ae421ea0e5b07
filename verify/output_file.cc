#include "verify/output_file.h"

#include <algorithm>
#include <string>
#include <utility>

#include "formats/gguf.h"
#include "formats/page_cache.h"
#include "formats/shard_name.h"

namespace tessera {

Result<OutputFile> OutputFile::Open(const std::filesystem::path& path) {
  OutputFile file;
  if (path.extension() == kGgufEnding) {
    TESSERA_TRY(file.OpenGguf(path));
    return file;
  }
  TESSERA_ASSIGN(file.checkpoint_, Checkpoint::Open(path));
  file.bytes_ = file.checkpoint_->shards()[0].identity.size;
  file.header_ = file.checkpoint_->shards()[0].header;
  return file;
}

Result<void> OutputFile::OpenGguf(const std::filesystem::path& path) {
  TESSERA_ASSIGN(gguf_, File::OpenRead(path));
  TESSERA_ASSIGN(const FileIdentity identity, gguf_->Identity());
  std::string raw;
  TESSERA_ASSIGN(GgufHeader header, ReadGgufHeader(*gguf_, &raw));
  bytes_ = identity.size;
  header_ = Xxh3(raw);
  for (GgufEntry& entry : header.entries) {
    gguf_tensors_.push_back({std::move(entry.info), 0, header.data_begin + entry.begin});
  }
  std::ranges::sort(gguf_tensors_, {},
                    [](const TensorExtent& t) -> const std::string& { return t.info.name(); });
  return {};
}

std::span<const TensorExtent> OutputFile::tensors() const {
  return checkpoint_ ? checkpoint_->tensors() : std::span<const TensorExtent>(gguf_tensors_);
}

const TensorExtent* OutputFile::Find(std::string_view name) const {
  if (checkpoint_) return checkpoint_->Find(name);
  const auto tensor = std::ranges::lower_bound(
      gguf_tensors_, name, {},
      [](const TensorExtent& t) -> std::string_view { return t.info.name(); });
  return tensor != gguf_tensors_.end() && tensor->info.name() == name ? &*tensor : nullptr;
}

Result<void> OutputFile::ReadBytes(const TensorExtent& tensor, uint64_t begin,
                                   std::span<std::byte> out) const {
  if (checkpoint_) return checkpoint_->ReadBytes(tensor, begin, out);
  return ReadPastCache(*gguf_, tensor.offset + begin, out);
}

}  // namespace tessera
