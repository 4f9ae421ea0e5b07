#include "convert/synth.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert/synth_config.h"
#include "convert/synth_layout.h"
#include "convert/synth_side_files.h"
#include "convert/synth_values.h"
#include "convert/worker_pool.h"
#include "formats/file.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "quant/scheme.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTileElements = uint64_t{1} << 20;  // 4 MiB of F32 a thread
constexpr uint64_t kTileRows = 128;                    // the FP8 scheme's quantum
constexpr size_t kOpenFiles = 16;

constexpr SynthPreset kPresets[] = {SynthPreset::kTiny, SynthPreset::kSmall, SynthPreset::kV3Slice,
                                    SynthPreset::kDeepSeekV3};
constexpr SynthFormat kFormats[] = {SynthFormat::kFp8, SynthFormat::kBf16};
constexpr Family kFamilies[] = {Family::kV2,  Family::kV2Lite, Family::kV3,        Family::kV31,
                                Family::kV32, Family::kK2,     Family::kMoonlight, Family::kGlm5};

template <class T, size_t N>
Result<T> ParseOneOf(const T (&all)[N], std::string_view what, std::string_view name) {
  std::string known;
  for (const T value : all) {
    if (Name(value) == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(Name(value));
  }
  return Fail(Error(ErrorCode::kUsage, "no such " + std::string(what) + ": " + std::string(name))
                  .Expected("one of " + known));
}

Result<void> CheckRequest(const SynthRequest& request, SynthFormat format) {
  if (request.preset != SynthPreset::kDeepSeekV3) return {};
  const auto refuse = [](std::string what, std::string next) {
    return Fail(Error(ErrorCode::kUsage, std::move(what)).Next(std::move(next)));
  };
  if (!request.sparse) {
    return refuse("deepseek-v3 would write 689 GB of invented weights",
                  "Add --sparse: the same files and sizes, as holes.");
  }
  if (request.family != Family::kV3 && request.family != Family::kV31) {
    return refuse("deepseek-v3 has no family " + std::string(Name(request.family)),
                  "Use --family v3 or v3.1, or another preset.");
  }
  if (format != SynthFormat::kFp8) {
    return refuse("deepseek-v3 was released in FP8 only", "Leave out --format bf16.");
  }
  return {};
}

Result<void> PrepareFolder(const fs::path& out) {
  std::error_code error;
  fs::create_directories(out, error);
  if (error) {
    return Fail(SystemError(ErrorCode::kOutputNotWritable, "creating", out, error.value()));
  }
  const bool empty = fs::is_empty(out, error);
  if (error) return Fail(SystemError(ErrorCode::kReadFailed, "listing", out, error.value()));
  if (!empty) {
    return Fail(Error(ErrorCode::kForeignFile, "the output folder is not empty")
                    .In(out.string())
                    .Expected("an empty or absent folder")
                    .Found(fs::directory_iterator(out)->path().filename().string())
                    .Next("Choose another folder, or remove this one."));
  }
  return {};
}

Result<void> WriteSmallFile(const fs::path& path, std::string_view contents) {
  TESSERA_ASSIGN(const File file, File::Create(path));
  return file.WriteAt(0, std::as_bytes(std::span(contents)));
}

// DeepSeek's files have no padding behind the header, so their data begins anywhere.
std::string WithoutPadding(std::string header) {
  header.resize(header.find_last_not_of(' ') + 1);
  const uint64_t length = header.size() - 8;
  for (size_t i = 0; i < 8; ++i) header[i] = static_cast<char>(length >> (8 * i) & 0xFF);
  return header;
}

class Synth {
 public:
  Synth(const SynthRequest& request, SynthFormat format, ModelSpec spec, SynthLayout layout,
        const fs::path& out)
      : request_(request),
        format_(format),
        spec_(std::move(spec)),
        layout_(std::move(layout)),
        out_(out),
        files_(kOpenFiles,
               [this](uint32_t i) { return File::OpenWrite(out_ / layout_.shards[i].name); }) {}

  Result<void> WriteShards();
  Result<void> WriteIndex() const;
  SynthSummary Summary() const;

 private:
  struct Place {
    uint32_t shard = 0;
    uint64_t offset = 0;  // in the file
  };
  // Rows of one stored weight, made and written on their own.
  struct Tile {
    const SynthTensor* weight;
    std::shared_ptr<const SynthValues> values;
    const Scheme* scheme;
    Place places[2];  // of the scheme's parts
    RowRange rows;
  };

  Result<void> CreateShard(const SynthShard& shard);
  Result<std::vector<Tile>> CutIntoTiles();
  const Scheme& SchemeOf(const SynthTensor& weight) const;
  Result<void> WriteTile(const Tile& tile);
  uint64_t TotalSize() const;

  const SynthRequest& request_;
  const SynthFormat format_;
  const ModelSpec spec_;
  const SynthLayout layout_;
  const fs::path out_;
  std::vector<uint64_t> data_begin_;  // by shard
  FileCache files_;
  std::unique_ptr<Scheme> fp8_ = MakeFp8BlockScheme({});
  std::unique_ptr<Scheme> fp8_ue8m0_ = MakeFp8BlockScheme({.scale_format = ScaleFormat::kUe8m0});
};

Result<void> Synth::WriteShards() {
  for (const SynthShard& shard : layout_.shards) TESSERA_TRY(CreateShard(shard));
  if (request_.sparse) return {};
  TESSERA_ASSIGN(const std::vector<Tile> tiles, CutIntoTiles());
  std::mutex mutex;
  size_t failed = tiles.size();
  std::optional<Error> error;
  std::atomic<bool> stop = false;
  const auto write = [&](size_t i) {
    if (stop) return;
    Result<void> written = WriteTile(tiles[i]);
    if (written) return;
    stop = true;
    const std::scoped_lock lock(mutex);
    if (i >= failed) return;
    failed = i;
    error = std::move(written).error();
  };
  WorkerPool workers(request_.threads != 0 ? request_.threads : AvailableCores());
  for (size_t i = 0; i < tiles.size(); ++i) workers.Submit([&write, i] { write(i); });
  workers.Wait();
  if (error) return Fail(*std::move(error));
  return {};
}

Result<void> Synth::CreateShard(const SynthShard& shard) {
  std::vector<const TensorInfo*> infos;
  for (const SynthTensor& tensor : shard.tensors) infos.push_back(&tensor.info);
  TESSERA_ASSIGN(std::string header, RenderSafetensorsHeader(infos, {{"format", "pt"}}));
  if (request_.quirks) header = WithoutPadding(std::move(header));
  data_begin_.push_back(header.size());
  const fs::path path = out_ / shard.name;
  const uint64_t size = header.size() + shard.data_bytes;
  TESSERA_ASSIGN(const File file, File::Create(path));
  TESSERA_TRY(file.WriteAt(0, std::as_bytes(std::span(header))));
  if (!request_.sparse) return file.Allocate(size);
  std::error_code failed;
  fs::resize_file(path, size, failed);
  if (failed) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "sizing", path, failed.value()));
  }
  return {};
}

const Scheme& Synth::SchemeOf(const SynthTensor& weight) const {
  if (weight.info.dtype() != Dtype::kF8E4M3) return PlainScheme(weight.info.dtype());
  const Family family = spec_.family();
  const bool off_powers =
      request_.quirks && family == Family::kV31 && weight.role.module == Module::kO;
  const bool ue8m0 = (family == Family::kV31 || family == Family::kV32) && !off_powers;
  return ue8m0 ? *fp8_ue8m0_ : *fp8_;
}

Result<std::vector<Synth::Tile>> Synth::CutIntoTiles() {
  std::vector<std::pair<const SynthTensor*, Place>> all;
  for (uint32_t s = 0; s < layout_.shards.size(); ++s) {
    for (const SynthTensor& tensor : layout_.shards[s].tensors) {
      all.push_back({&tensor, {s, data_begin_[s] + tensor.begin}});
    }
  }
  std::vector<Tile> tiles;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& [weight, place] = all[i];
    if (weight->role.part == Part::kScaleInv) continue;  // written with its weight, just before it
    const Shape& shape = weight->info.shape();
    const auto values =
        std::make_shared<const SynthValues>(spec_, weight->role, shape, request_.seed);
    Tile tile{weight, values, &SchemeOf(*weight), {place, {}}, {}};
    if (weight->info.dtype() == Dtype::kF8E4M3) tile.places[1] = all[i + 1].second;
    const uint64_t rows = weight->info.elements() / values->columns();
    const uint64_t step =
        std::max(kTileRows, kTileElements / values->columns() / kTileRows * kTileRows);
    for (uint64_t row = 0; row < rows; row += step) {
      tile.rows = {row, std::min(rows, row + step)};
      tiles.push_back(tile);
    }
  }
  return tiles;
}

Result<void> Synth::WriteTile(const Tile& tile) {
  const uint64_t columns = tile.values->columns();
  const uint64_t rows = tile.weight->info.elements() / columns;
  std::vector<float> values(tile.rows.size() * columns);
  tile.values->FillRows(tile.rows.begin, values);
  const size_t parts = tile.weight->info.dtype() == Dtype::kF8E4M3 ? 2 : 1;
  std::vector<std::byte> bytes[2];
  std::span<std::byte> spans[2];
  for (size_t p = 0; p < parts; ++p) {
    bytes[p].resize(tile.scheme->PartBytes(p, rows, columns, tile.rows).size());
    spans[p] = bytes[p];
  }
  ValueStats stats;
  tile.scheme->EncodeRows(values.data(), rows, columns, tile.rows, std::span(spans, parts), stats);
  TESSERA_CHECK(stats.not_finite == 0);
  for (size_t p = 0; p < parts; ++p) {
    const uint64_t begin = tile.scheme->PartBytes(p, rows, columns, tile.rows).begin;
    TESSERA_ASSIGN(const std::shared_ptr<const File> file, files_.Get(tile.places[p].shard));
    TESSERA_TRY(file->WriteAt(tile.places[p].offset + begin, bytes[p]));
  }
  return {};
}

uint64_t Synth::TotalSize() const {
  // The released V3 gives every element two bytes, scales included.
  if (request_.quirks) return 2 * layout_.elements;
  uint64_t bytes = 0;
  for (const SynthShard& shard : layout_.shards) bytes += shard.data_bytes;
  return bytes;
}

Result<void> Synth::WriteIndex() const {
  std::string text = "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(TotalSize()) +
                     "\n  },\n  \"weight_map\": {";
  std::string_view separator = "\n";
  for (const SynthShard& shard : layout_.shards) {
    const std::string file = QuoteJson(shard.name);
    for (const SynthTensor& tensor : shard.tensors) {
      text += separator;
      text += "    " + QuoteJson(tensor.info.name()) + ": " + file;
      separator = ",\n";
    }
  }
  text += "\n  }\n}";
  return WriteSmallFile(out_ / "model.safetensors.index.json", text);
}

SynthSummary Synth::Summary() const {
  SynthSummary summary{.format = format_,
                       .files = layout_.shards.size(),
                       .total_size = TotalSize(),
                       .split_pairs = layout_.split_pairs};
  for (size_t i = 0; i < layout_.shards.size(); ++i) {
    summary.tensors += layout_.shards[i].tensors.size();
    summary.payload_bytes += layout_.shards[i].data_bytes;
    summary.file_bytes += data_begin_[i] + layout_.shards[i].data_bytes;
  }
  return summary;
}

}  // namespace

std::string_view Name(SynthPreset preset) {
  switch (preset) {
    case SynthPreset::kTiny:
      return "tiny";
    case SynthPreset::kSmall:
      return "small";
    case SynthPreset::kV3Slice:
      return "v3-slice";
    case SynthPreset::kDeepSeekV3:
      return "deepseek-v3";
  }
  return "unknown";
}

std::string_view Name(SynthFormat format) { return format == SynthFormat::kFp8 ? "fp8" : "bf16"; }

Result<SynthPreset> ParseSynthPreset(std::string_view name) {
  return ParseOneOf(kPresets, "preset", name);
}
Result<SynthFormat> ParseSynthFormat(std::string_view name) {
  return ParseOneOf(kFormats, "format", name);
}
Result<Family> ParseFamily(std::string_view name) { return ParseOneOf(kFamilies, "family", name); }

Result<SynthSummary> Synthesize(const SynthRequest& asked, const fs::path& out) {
  SynthRequest request = asked;
  request.quirks |= request.preset == SynthPreset::kDeepSeekV3;
  const SynthFormat format = request.format.value_or(ReleasedFormat(request.family));
  TESSERA_TRY(CheckRequest(request, format));
  const std::string config_text = SynthConfigText(request, format);
  TESSERA_ASSIGN(const Json config, ParseJson(config_text));
  TESSERA_ASSIGN(ModelSpec spec, ModelSpec::FromConfig(config));
  TESSERA_ASSIGN(SynthLayout layout, LayOutSynth(spec, request, format));

  TESSERA_TRY(PrepareFolder(out));
  TESSERA_TRY(WriteSmallFile(out / "config.json", config_text));
  for (const auto& [name, contents] : SynthSideFiles(config)) {
    TESSERA_TRY(WriteSmallFile(out / name, contents));
  }
  Synth synth(request, format, std::move(spec), std::move(layout), out);
  TESSERA_TRY(synth.WriteShards());
  TESSERA_TRY(synth.WriteIndex());
  return synth.Summary();
}

}  // namespace tessera
