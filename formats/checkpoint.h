// The directory of a sharded checkpoint: every header parsed and cross-checked, no weight read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/file.h"
#include "formats/finding.h"
#include "formats/gguf.h"
#include "formats/hash.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

// Where one tensor's bytes lie. `offset` counts from the start of the file, header included. Of a
// tensor that ranks hold together, both are its first piece's.
struct TensorExtent {
  TensorInfo info;
  uint32_t shard;  // index into Checkpoint::shards()
  uint64_t offset;
};

struct Shard {
  std::string name;  // one path component, as the index spells it
  FileIdentity identity;
  uint64_t data_begin;  // header length, length field included
  Digest header;        // of the header bytes, length field included
  Digest samples;       // of a little data at the start, the middle and the end
  uint32_t tensors;
};

struct CheckpointOptions {
  bool allow_no_index =
      false;               // several shards and no index: take every *.safetensors in the folder
  size_t open_limit = 16;  // files open at once
  // Takes the place of the folder's config.json.
  std::optional<std::filesystem::path> config = std::nullopt;
};

// Immutable after Open, hence shareable between threads. Tensors are ordered by name, never by
// shard or hash; shards by name.
//
// A folder of model{r}-mp{N}.safetensors is presented as the model that was cut: whole tensors
// under Hugging Face names, put together on reading, and a Hugging Face config_text(). So are GGUF
// files of llama.cpp's deepseek2: each expert is a tensor, and config_text() says what their
// metadata say.
class Checkpoint {
 public:
  // `path` is a folder, an index file (*.index.json), a single .safetensors file, or a .gguf file,
  // of split ones the first. Fails on the first fault in a fixed order: index, shard set, headers
  // by shard name, index against headers.
  static Result<Checkpoint> Open(const std::filesystem::path& path,
                                 const CheckpointOptions& options = {});

  // For `inspect --check`: goes on after a fault where it can and returns all of them (at most
  // `limit`); an empty result means that Open succeeds.
  static std::vector<Error> FindFaults(const std::filesystem::path& path,
                                       const CheckpointOptions& options = {}, size_t limit = 1000);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::filesystem::path& dir() const;
  std::span<const Shard> shards() const;
  std::span<const TensorExtent> tensors() const;
  uint64_t payload_bytes() const;  // of all tensors, headers not counted

  // nullptr if absent. Whether that is an error is the caller's question. O(log n).
  const TensorExtent* Find(std::string_view name) const;
  uint32_t IndexOf(const TensorExtent& extent) const;  // into tensors()

  // How many ranks the tensors are put together from; 0: they are not.
  uint32_t ranks() const;

  // Reads bytes [begin, begin + out.size()) of a tensor; what every rank has a copy of is read from
  // all of them, and a difference is kRanksDiffer. Reopened files must still be the ones that
  // Open saw: device, inode, size and mtime are compared, else kInputChanged.
  Result<void> ReadBytes(const TensorExtent& tensor, uint64_t begin,
                         std::span<std::byte> out) const;

  // Whether every shard is still the file that Open saw; call after the last read.
  Result<void> CheckUnchanged() const;

  // Files beside the weights, by path relative to dir(), sorted: tokenizer, configs, *.py,
  // licences, also in subfolders. Without config.json, the index, weights, a tessera manifest, and
  // hidden entries.
  std::span<const std::string> side_files() const;
  // config.json as it stands on disk, of ranks as a Hugging Face one; empty if there is none.
  const std::optional<std::string>& config_text() const;
  // Where it was read, or looked for; the GGUF file that it was put together from.
  const std::filesystem::path& config_path() const;
  // What to fail with where a config is needed and there is none.
  Error NoConfig() const;
  // Of the first file; nullptr unless the files are GGUF.
  const GgufMetadata* gguf_metadata() const;

  // Oddities that do not invalidate: a wrong total_size, unaligned tensors, unknown header
  // fields...
  std::span<const Finding> findings() const;

  // Digest over shard names, sizes, headers, data samples, config.json and side file names and
  // sizes: what a plan depends on. No time, path or host in it.
  Digest fingerprint() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tessera
