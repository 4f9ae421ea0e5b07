#include "verify/manifest_check.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "formats/checkpoint.h"
#include "formats/hash.h"
#include "formats/manifest.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kChunk = uint64_t{1} << 20;
constexpr uint64_t kMaxTiles = uint64_t{1} << 24;  // of one tensor: bounds what a manifest can cost

class ManifestCheck {
 public:
  ManifestCheck(const fs::path& dir, const Manifest& manifest, const ManifestCheckOptions& options,
                WorkCounters& counters)
      : dir_(dir), manifest_(manifest), options_(options), counters_(counters) {}

  Result<ManifestReport> Run() {
    for (const ManifestSideFile& file : manifest_.side_files) CheckSideFile(file);
    Result<Checkpoint> opened = Checkpoint::Open(dir_);
    if (!opened) {
      const Error& error = opened.error();
      Fault(error.tensor(), error.file(), error.Text());
      report_.failed = manifest_.tensors.size();
      return std::move(report_);
    }
    checkpoint_.emplace(*std::move(opened));
    for (const ManifestFile& file : manifest_.files) CheckHeader(file);
    for (const std::string& name : checkpoint_->side_files()) {
      const auto it =
          std::ranges::lower_bound(manifest_.side_files, name, {}, &ManifestSideFile::name);
      if (it == manifest_.side_files.end() || it->name != name) {
        Fault("", name, "the file is not in the manifest");
      }
    }
    MatchNames();
    HashTensors();
    if (Stopped()) {
      const bool terminated = *options_.signal == 15;
      return Fail(terminated ? ErrorCode::kTerminated : ErrorCode::kInterrupted,
                  terminated ? "terminated" : "interrupted");
    }
    std::ranges::sort(report_.faults, {},
                      [](const ManifestFault& f) { return std::tie(f.file, f.tensor, f.what); });
    return std::move(report_);
  }

 private:
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
    TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
    Xxh3Stream hash;
    std::vector<std::byte> buffer(std::min(kChunk, identity.size));
    for (uint64_t at = 0; at < identity.size; at += kChunk) {
      const auto chunk = std::span(buffer).first(std::min(kChunk, identity.size - at));
      TESSERA_TRY(file.ReadAt(at, chunk));
      hash.Update(chunk);
    }
    return hash.Finish();
  }

  void CheckHeader(const ManifestFile& file) {
    const auto shards = checkpoint_->shards();
    const auto it = std::ranges::lower_bound(shards, file.name, {}, &Shard::name);
    if (it == shards.end() || it->name != file.name) {
      Fault("", file.name, "the file is missing");
    } else if (it->identity.size != file.bytes) {
      Fault("", file.name,
            "the file has " + std::to_string(it->identity.size) + " bytes instead of " +
                std::to_string(file.bytes));
    } else if (it->header != file.header) {
      Fault("", file.name, "the file's header changed");
    }
  }

  // Walks both lists in name order.
  void MatchNames() {
    auto theirs = checkpoint_->tensors().begin();
    const auto end = checkpoint_->tensors().end();
    const auto extra_until = [&](const std::string* name) {
      for (; theirs != end && (name == nullptr || theirs->info.name() < *name); ++theirs) {
        ++report_.extra;
        Fault(theirs->info.name(), checkpoint_->shards()[theirs->shard].name,
              "the tensor is not in the manifest");
      }
    };
    for (const ManifestTensor& tensor : manifest_.tensors) {
      extra_until(&tensor.name);
      if (theirs == end || theirs->info.name() != tensor.name) {
        ++report_.missing;
        Fault(tensor.name, tensor.file, "the tensor is missing");
        continue;
      }
      if (theirs->info.dtype() != tensor.dtype || theirs->info.shape() != tensor.shape ||
          checkpoint_->shards()[theirs->shard].name != tensor.file) {
        ++report_.failed;
        Fault(tensor.name, tensor.file,
              "the tensor is " + theirs->info.Describe() + ", not what the manifest says");
      } else {
        pairs_.emplace_back(&tensor, &*theirs);
      }
      ++theirs;
    }
    extra_until(nullptr);
  }

  void HashTensors() {
    // In file order, so that reading is sequential.
    std::ranges::sort(pairs_, {}, [](const auto& pair) {
      return std::tuple(pair.second->shard, pair.second->offset);
    });
    counters_.total_bytes = checkpoint_->payload_bytes();
    std::vector<std::optional<std::string>> wrong(pairs_.size());
    tbb::task_arena arena(options_.threads == 0 ? tbb::task_arena::automatic
                                                : static_cast<int>(options_.threads));
    arena.execute([&] {
      tbb::parallel_for(size_t{0}, pairs_.size(), [&](size_t i) {
        if (!Stopped()) wrong[i] = Compare(*pairs_[i].first, *pairs_[i].second);
      });
    });
    for (size_t i = 0; i < pairs_.size(); ++i) {
      if (!wrong[i]) {
        ++report_.exact;
        continue;
      }
      ++report_.failed;
      Fault(pairs_[i].first->name, pairs_[i].first->file, *std::move(wrong[i]));
    }
  }

  std::optional<std::string> Compare(const ManifestTensor& tensor,
                                     const TensorExtent& extent) const {
    std::vector<Digest> tiles;
    thread_local std::vector<std::byte> buffer(kChunk);
    const uint64_t bytes = extent.info.bytes();
    const uint64_t tile = tensor.tile_bytes;
    if (bytes != 0 && (tile == 0 || bytes / tile > kMaxTiles)) {
      return "the manifest gives it tiles of " + std::to_string(tile) + " bytes, which cannot be";
    }
    for (uint64_t begin = 0; begin < bytes; begin += tile) {
      const uint64_t end = std::min(bytes, begin + tile);
      Xxh3Stream hash;
      for (uint64_t at = begin; at < end; at += kChunk) {
        const auto chunk = std::span(buffer).first(std::min(kChunk, end - at));
        if (const Result<void> read = checkpoint_->ReadBytes(extent, at, chunk); !read) {
          return read.error().what();
        }
        hash.Update(chunk);
        counters_.done_bytes += chunk.size();
        if (Stopped()) return std::nullopt;
      }
      tiles.push_back(hash.Finish());
    }
    const Digest digest = Combine(tiles);
    if (digest == tensor.digest) return std::nullopt;
    return "the tensor's bytes changed: digest " + ToHex(digest) + " instead of " +
           ToHex(tensor.digest);
  }

  bool Stopped() const { return options_.signal != nullptr && *options_.signal != 0; }

  const fs::path& dir_;
  const Manifest& manifest_;
  const ManifestCheckOptions& options_;
  WorkCounters& counters_;
  std::optional<Checkpoint> checkpoint_;
  std::vector<std::pair<const ManifestTensor*, const TensorExtent*>> pairs_;
  ManifestReport report_;
};

}  // namespace

Result<ManifestReport> CheckManifest(const fs::path& dir, const ManifestCheckOptions& options,
                                     WorkCounters& counters) {
  TESSERA_ASSIGN(const Manifest manifest, ReadManifest(dir));
  return ManifestCheck(dir, manifest, options, counters).Run();
}

}  // namespace tessera
