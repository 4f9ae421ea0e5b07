#include "verify/manifest_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "formats/checkpoint.h"
#include "formats/file_chunks.h"
#include "formats/hash.h"
#include "formats/interruption.h"
#include "formats/manifest.h"
#include "formats/shard_name.h"
#include "verify/output_file.h"
#include "verify/parallel.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kChunk = uint64_t{1} << 20;
constexpr uint64_t kMaxTiles = uint64_t{1} << 24;  // of one tensor: bounds what a manifest can cost

class ManifestCheck {
 public:
  ManifestCheck(const fs::path& dir, bool is_folder, const Manifest& manifest,
                const ManifestCheckOptions& options, WorkCounters& counters)
      : dir_(dir),
        is_folder_(is_folder),
        manifest_(manifest),
        options_(options),
        threads_(options.threads),
        counters_(counters) {}

  Result<ManifestReport> Run() {
    for (const ManifestSideFile& file : manifest_.side_files) CheckSideFile(file);
    FindUnlisted();
    for (const ManifestTensor& tensor : manifest_.tensors) listed_[tensor.file].push_back(&tensor);
    for (const ManifestFile& file : manifest_.files) counters_.total_bytes += file.bytes;
    for (const ManifestFile& file : manifest_.files) CheckShard(file);
    if (Stopped()) return Fail(InterruptedBy(*options_.signal));
    std::ranges::sort(report_.faults, {},
                      [](const ManifestFault& f) { return std::tie(f.file, f.tensor, f.what); });
    return std::move(report_);
  }

 private:
  struct Pair {
    const ManifestTensor* tensor;
    const TensorExtent* extent;
    std::optional<std::string> wrong;
  };

  void Fault(std::string tensor, std::string file, std::string what) {
    report_.faults.push_back({std::move(tensor), std::move(file), std::move(what)});
  }

  void CheckSideFile(const ManifestSideFile& file) {
    const Result<Digest> digest = HashFile(dir_ / file.name);
    if (!digest) {
      Fault("", file.name, digest.error().what());
    } else if (*digest != file.digest) {
      Fault("", file.name, "the file's contents changed");
    } else {
      ++report_.side_files;
    }
  }

  static Result<Digest> HashFile(const fs::path& path) {
    TESSERA_ASSIGN(const File file, File::OpenRead(path));
    Xxh3Stream hash;
    const auto update = [&](uint64_t, std::span<const std::byte> chunk) {
      hash.Update(chunk);
      return Result<void>();
    };
    TESSERA_TRY(ReadInChunks(file, NeverStops, update));
    return hash.Finish();
  }

  // Loaders pick up what lies in the folder, listed or not; but not beside a single file.
  void FindUnlisted() {
    if (!is_folder_) return;
    const auto listed = [](const auto& files, const std::string& name) {
      const auto it = std::ranges::lower_bound(
          files, name, {}, [](const auto& f) -> const std::string& { return f.name; });
      return it != files.end() && it->name == name;
    };
    std::error_code error;
    for (auto it = fs::recursive_directory_iterator(dir_, error); !error && it != fs::end(it);
         it.increment(error)) {
      const std::string name = it->path().lexically_relative(dir_).string();
      if (it->path().filename().string().front() == '.') {
        it.disable_recursion_pending();
      } else if (!it->is_directory(error) && name != kManifestName &&
                 !listed(manifest_.files, name) && !listed(manifest_.side_files, name)) {
        Fault("", name, "the file is not in the manifest");
      }
    }
  }

  // Each shard by itself, so that one damaged file says nothing about the others, and one is open
  // at a time.
  void CheckShard(const ManifestFile& file) {
    const std::vector<const ManifestTensor*>& listed = listed_[file.name];
    const Result<OutputFile> shard = OutputFile::Open(dir_ / file.name);
    if (!shard) {
      report_.failed += listed.size();
      return Fault("", file.name, shard.error().what());
    }
    if (shard->header() != file.header) {
      Fault("", file.name, "the file's header changed");
    } else if (shard->bytes() != file.bytes) {
      Fault("", file.name, "the file has another size");
    }
    std::vector<Pair> pairs = MatchNames(listed, *shard, file.name);
    HashTensors(*shard, pairs);
    for (Pair& pair : pairs) {
      if (!pair.wrong) {
        ++report_.exact;
        continue;
      }
      ++report_.failed;
      Fault(pair.tensor->name, file.name, *std::move(pair.wrong));
    }
  }

  // Both lists are sorted by name.
  std::vector<Pair> MatchNames(const std::vector<const ManifestTensor*>& listed,
                               const OutputFile& shard, const std::string& file) {
    std::vector<Pair> pairs;
    for (const ManifestTensor* tensor : listed) {
      const TensorExtent* extent = shard.Find(tensor->name);
      if (extent == nullptr) {
        ++report_.missing;
        Fault(tensor->name, file, "the tensor is missing");
      } else if (extent->info.dtype() != tensor->dtype || extent->info.shape() != tensor->shape) {
        ++report_.failed;
        Fault(tensor->name, file,
              "the tensor is " + extent->info.Describe() + ", not what the manifest says");
      } else {
        pairs.push_back({tensor, extent, std::nullopt});
      }
    }
    for (const TensorExtent& extent : shard.tensors()) {
      const auto name = [](const ManifestTensor* t) -> const std::string& { return t->name; };
      if (std::ranges::binary_search(listed, extent.info.name(), {}, name)) continue;
      ++report_.extra;
      Fault(extent.info.name(), file, "the tensor is not in the manifest");
    }
    return pairs;
  }

  void HashTensors(const OutputFile& shard, std::vector<Pair>& pairs) {
    // In file order, so that reading is sequential.
    std::ranges::sort(pairs, {}, [](const Pair& pair) { return pair.extent->offset; });
    threads_.ForEach(pairs.size(), [&](size_t i) {
      if (!Stopped()) pairs[i].wrong = Compare(shard, pairs[i]);
    });
  }

  // What is wrong, if anything.
  std::optional<std::string> Compare(const OutputFile& shard, const Pair& pair) const {
    const ManifestTensor* tensor = pair.tensor;
    const TensorExtent* extent = pair.extent;
    std::vector<Digest> tiles;
    thread_local std::vector<std::byte> buffer(kChunk);
    const uint64_t bytes = extent->info.bytes();
    const uint64_t tile = tensor->tile_bytes;
    if (bytes != 0 && (tile == 0 || bytes / tile > kMaxTiles)) {
      return "the manifest gives it tiles of " + std::to_string(tile) + " bytes, which cannot be";
    }
    for (uint64_t begin = 0; begin < bytes; begin += tile) {
      const uint64_t end = std::min(bytes, begin + tile);
      Xxh3Stream hash;
      for (uint64_t at = begin; at < end; at += kChunk) {
        const auto chunk = std::span(buffer).first(std::min(kChunk, end - at));
        if (const Result<void> read = shard.ReadBytes(*extent, at, chunk); !read) {
          return read.error().what();
        }
        hash.Update(chunk);
        counters_.done_bytes += chunk.size();
        if (Stopped()) return std::nullopt;
      }
      tiles.push_back(hash.Finish());
    }
    const Digest digest = Combine(tiles);
    if (digest == tensor->digest) return std::nullopt;
    return "the tensor's bytes changed: digest " + ToHex(digest) + " instead of " +
           ToHex(tensor->digest);
  }

  bool Stopped() const { return options_.signal != nullptr && *options_.signal != 0; }

  const fs::path dir_;
  const bool is_folder_;
  const Manifest& manifest_;
  const ManifestCheckOptions& options_;
  const Threads threads_;
  WorkCounters& counters_;
  std::map<std::string_view, std::vector<const ManifestTensor*>> listed_;  // by file
  ManifestReport report_;
};

}  // namespace

Result<ManifestReport> CheckManifest(const fs::path& out, const ManifestCheckOptions& options,
                                     WorkCounters& counters) {
  const bool is_file = out.extension() == kGgufEnding;
  // Of split files any leads to the others.
  const std::optional<ShardName> split = ParseShardName(out.filename().string(), kGgufEnding);
  const std::string file =
      split ? split->prefix + std::string(kGgufEnding) : out.filename().string();
  const fs::path path = is_file ? out.parent_path() / ManifestNameOf(file) : out / kManifestName;
  std::error_code error;
  if (fs::exists(out, error) && !fs::exists(path, error)) {
    return Fail(Error(ErrorCode::kNotFound, "there is no manifest to compare it with")
                    .In(out.string())
                    .Expected(path.string() + ", as tessera writes it beside what it makes")
                    .Next("tessera verify A B compares any two checkpoints with each other"));
  }
  TESSERA_ASSIGN(const Manifest manifest, ReadManifest(path));
  return ManifestCheck(path.parent_path(), !is_file, manifest, options, counters).Run();
}

}  // namespace tessera
