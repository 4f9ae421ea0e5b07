#include "convert/seal.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "convert/tensor_quality.h"
#include "formats/file.h"
#include "formats/file_chunks.h"
#include "formats/json.h"
#include "formats/version.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

std::vector<const PlanTensor*> ByName(const Plan& plan, uint32_t folder) {
  std::vector<const PlanTensor*> tensors;
  for (const PlanTensor& tensor : plan.tensors) {
    if (plan.files[tensor.file].folder == folder) tensors.push_back(&tensor);
  }
  std::ranges::sort(tensors, {},
                    [](const PlanTensor* t) -> const std::string& { return t->info.name(); });
  return tensors;
}

// As the hub writes it: two-space indent, names sorted; but with the true total_size.
std::string RenderIndex(const Plan& plan, uint32_t folder) {
  const std::vector<const PlanTensor*> tensors = ByName(plan, folder);
  std::string text = "{\n";
  if (plan.folders[folder].index_total) {
    uint64_t bytes = 0;
    for (const PlanTensor* tensor : tensors) bytes += tensor->info.bytes();
    text += "  \"metadata\": {\n    \"total_size\": " + std::to_string(bytes) + "\n  },\n";
  }
  text += "  \"weight_map\": {";
  std::string_view separator = "\n";
  for (const PlanTensor* tensor : tensors) {
    text += separator;
    text +=
        "    " + QuoteJson(tensor->info.name()) + ": " + QuoteJson(plan.files[tensor->file].name);
    separator = ",\n";
  }
  return text + "\n  }\n}\n";
}

Result<std::string> Sha256Of(const fs::path& path, const StopCheck& check) {
  TESSERA_ASSIGN(const File file, File::OpenRead(path));
  Sha256Stream hash;
  const auto update = [&](uint64_t, std::span<const std::byte> chunk) {
    hash.Update(chunk);
    return Result<void>();
  };
  TESSERA_TRY(ReadInChunks(file, check, update));
  return hash.FinishHex();
}

// A step's share of one tensor.
struct Share {
  const Step* step;
  const Destination* destination;
};

// Of each tensor, the shares that it consists of, in the order in which they lie in it.
std::vector<std::vector<Share>> SharesByTensor(const Plan& plan) {
  std::vector<std::vector<Share>> shares(plan.tensors.size());
  for (const Step& step : plan.steps) {
    for (const Destination& d : step.destinations) shares[d.tensor].push_back({&step, &d});
  }
  for (std::vector<Share>& of : shares) {
    std::ranges::sort(of, {}, [](const Share& share) { return share.destination->base; });
  }
  return shares;
}

ManifestTensor DescribeTensor(const Plan& plan, const PlanTensor& planned,
                              const std::vector<Share>& shares, const Execution& execution) {
  ManifestTensor t;
  t.name = planned.info.name();
  t.file = plan.files[planned.file].name;
  t.dtype = planned.info.dtype();
  t.shape = planned.info.shape();
  t.by = planned.by;
  std::vector<Digest> digests;
  for (const auto& [step, d] : shares) {
    if (d->tiles != 0 && t.tile_bytes == 0) {
      const RowRange first = step->TileRows(d->first_tile);
      t.tile_bytes = PlaceInDestination(*step, *d, first, ShapeOfTile(*step, first))->size();
    }
    const auto tiles = std::span(execution.digests).subspan(d->first_digest, d->tiles);
    digests.insert(digests.end(), tiles.begin(), tiles.end());
    for (const SourceRef& ref : step->sources) {
      t.from.push_back(plan.sources[ref.checkpoint]->tensors()[ref.tensor].info.name());
    }
    const ValueStats& stats = execution.stats[static_cast<size_t>(step - plan.steps.data())];
    t.nan_codes += stats.nan_codes;
    if (stats.quality.weights != 0 && d->part == 0) {
      t.quality = Judge(stats.quality, plan.quality_limits);
    }
  }
  t.digest = Combine(digests);
  return t;
}

std::vector<ManifestTensor> DescribeTensors(const Plan& plan, uint32_t folder,
                                            const Execution& execution) {
  std::vector<ManifestTensor> tensors;
  const std::vector<std::vector<Share>> shares = SharesByTensor(plan);
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.files[plan.tensors[i].file].folder != folder) continue;
    tensors.push_back(DescribeTensor(plan, plan.tensors[i], shares[i], execution));
  }
  std::ranges::sort(tensors, {}, [&](const ManifestTensor& t) {
    // Rank files share their tensors' names.
    const bool ranks = plan.folders[folder].index_name.empty() && plan.folders[folder].file.empty();
    return std::tuple(ranks ? std::string_view(t.file) : std::string_view(),
                      std::string_view(t.name));
  });
  return tensors;
}

Result<std::vector<ManifestFile>> DescribeFiles(const Plan& plan, uint32_t folder, bool sha256,
                                                const fs::path& out, const StopCheck& check) {
  std::vector<ManifestFile> files;
  for (const PlanFile& planned : plan.files) {
    if (planned.folder != folder) continue;
    ManifestFile& file = files.emplace_back();
    file.name = planned.name;
    file.bytes = planned.bytes;
    if (plan.compress) {
      TESSERA_ASSIGN(const File stored, File::OpenRead(out / planned.name));
      TESSERA_ASSIGN(const FileIdentity identity, stored.Identity());
      file.bytes = identity.size;
    }
    file.header = Xxh3(planned.header);
    if (sha256) {
      TESSERA_ASSIGN(file.sha256, Sha256Of(out / planned.name, check));
    }
  }
  return files;
}

// `below` inside `out`, each level durable before anything is put into it.
Result<void> MakeFolders(const fs::path& out, const fs::path& below) {
  fs::path path = out;
  for (const fs::path& name : below) {
    std::error_code error;
    const bool made = fs::create_directory(path / name, error);
    if (error)
      return Fail(SystemError(ErrorCode::kWriteFailed, "making", path / name, error.value()));
    if (made) TESSERA_TRY(SyncDirectory(path));
    path /= name;
  }
  return {};
}

// Of several inputs, one after the other.
void DescribeSource(const Plan& plan, Manifest& manifest) {
  std::vector<Digest> fingerprints;
  for (const auto& source : std::span(plan.sources).first(plan.inputs)) {
    fingerprints.push_back(source->fingerprint());
    manifest.source_tensors += source->tensors().size();
    manifest.source_bytes += source->payload_bytes();
  }
  manifest.source_fingerprint = plan.inputs == 1 ? fingerprints[0] : Combine(fingerprints);
}

Result<void> SealFolder(const Plan& plan, uint32_t index, const Execution& execution, bool sha256,
                        const OutputDir& dir, const StopCheck& check) {
  const PlanFolder& folder = plan.folders[index];
  Manifest manifest;
  TESSERA_ASSIGN(manifest.files, DescribeFiles(plan, index, sha256, dir.path(), check));
  for (const std::string& name : folder.side_files) {
    const fs::path target = dir.path() / name;
    TESSERA_TRY(MakeFolders(dir.path(), fs::path(name).parent_path()));
    TESSERA_ASSIGN(const CopiedFile copy,
                   CopyFileAtomically(plan.sources[0]->dir() / name, target, dir.staging(), check));
    manifest.side_files.push_back({name, copy.bytes, copy.digest});
  }
  TESSERA_TRY(check());
  const auto write = [&](const std::string& name, const std::string& text) {
    manifest.side_files.push_back({name, text.size(), Xxh3(text)});
    return WriteFileAtomically(dir.path() / name, text, dir.staging());
  };
  if (!folder.config.empty()) TESSERA_TRY(write("config.json", folder.config));
  for (const PlanText& text : folder.texts) TESSERA_TRY(write(text.name, text.text));
  if (!folder.index_name.empty()) {
    TESSERA_TRY(write(folder.index_name, RenderIndex(plan, index)));
  }
  std::ranges::sort(manifest.side_files, {}, &ManifestSideFile::name);

  manifest.tool_version = kVersion;
  manifest.numerics = kNumericsVersion;
  DescribeSource(plan, manifest);
  manifest.request = plan.request;
  manifest.plan = plan.hash;
  manifest.tile_bytes = kTileBytes;
  manifest.ledger = folder.ledger;
  manifest.rules = folder.rules;
  manifest.tensors = DescribeTensors(plan, index, execution);
  return WriteFileAtomically(dir.manifest_path(), RenderManifest(manifest), dir.staging());
}

}  // namespace

Result<void> Seal(const Plan& plan, const Execution& execution, bool sha256,
                  const OutputFolders& out, const StopCheck& check) {
  for (auto folder = static_cast<uint32_t>(plan.folders.size()); folder-- > 0;) {
    TESSERA_TRY(SealFolder(plan, folder, execution, sha256, out.dir(folder), check));
  }
  return {};
}

}  // namespace tessera
