#include "convert/plan.h"

#include <numeric>

#include "formats/version.h"

namespace tessera {

namespace {

uint64_t TilesIn(const RowRange& band, uint64_t tile_rows) {
  return (band.size() + tile_rows - 1) / tile_rows;
}

ByteRange BytesOfPart(const Step& step, size_t part, RowRange rows) {
  if (step.is_copy()) return {rows.begin * step.row_bytes, rows.end * step.row_bytes};
  return step.to->PartBytes(part, step.rows, step.cols, rows);
}

}  // namespace

std::string PlanFolder::manifest_name() const {
  return file.empty() ? std::string(kManifestName) : ManifestNameOf(file);
}

uint64_t Step::TilesBefore(uint64_t row) const {
  uint64_t tiles = 0;
  for (const RowRange& band : bands) {
    if (band.end <= row) tiles += TilesIn(band, tile_rows);
  }
  return tiles;
}

RowRange Step::TileRows(uint64_t tile) const {
  for (const RowRange& band : bands) {
    const uint64_t here = TilesIn(band, tile_rows);
    if (tile < here) {
      const uint64_t begin = band.begin + tile * tile_rows;
      return {begin, std::min(band.end, begin + tile_rows)};
    }
    tile -= here;
  }
  return {};
}

TileShape ShapeOfTile(const Step& step, RowRange rows) {
  TileShape shape;
  if (step.is_copy()) {
    const ByteRange bytes{rows.begin * step.row_bytes, rows.end * step.row_bytes};
    return {.reads = {bytes}, .writes = {bytes}};
  }
  for (size_t part = 0; part < step.sources.size(); ++part) {
    shape.reads.push_back(step.from->PartBytes(part, step.rows, step.cols, rows));
  }
  const size_t parts = step.to->Parts(step.rows, step.cols).size();
  for (size_t part = 0; part < parts; ++part) {
    shape.writes.push_back(BytesOfPart(step, part, rows));
  }
  return shape;
}

std::optional<ByteRange> PlaceInDestination(const Step& step, const Destination& d, RowRange rows,
                                            const TileShape& shape) {
  if (rows.begin < d.rows.begin || rows.end > d.rows.end) return std::nullopt;
  // In whole rows of the part, which need not be rows of the weight (a row of scales covers 128).
  const uint64_t origin = BytesOfPart(step, d.part, d.rows).begin / d.row_bytes;
  const ByteRange& bytes = shape.writes[d.part];
  const auto narrow = [&](uint64_t at) {
    return d.base + (at / d.row_bytes - origin) * d.columns.size();
  };
  return ByteRange{narrow(bytes.begin), narrow(bytes.end)};
}

uint64_t TileRowsOf(const Step& step) {
  if (!step.is_copy() && (step.from->is_whole() || step.to->is_whole())) {
    return std::max<uint64_t>(1, step.rows);
  }
  const uint64_t quantum =
      step.is_copy() ? 1 : std::lcm(step.from->row_quantum(), step.to->row_quantum());
  const TileShape probe = ShapeOfTile(step, {0, std::min(step.rows, quantum)});
  uint64_t bytes = 0;
  for (const ByteRange& range : probe.reads) bytes += range.size();
  for (const ByteRange& range : probe.writes) bytes += range.size();
  return std::max<uint64_t>(1, kTileBytes / std::max<uint64_t>(1, bytes)) * quantum;
}

void Tally(Plan& plan) {
  for (Step& step : plan.steps) {
    step.first_tile = plan.tiles;
    plan.tiles += step.tiles();
    for (Destination& d : step.destinations) {
      d.first_tile = step.TilesBefore(d.rows.begin);
      d.tiles = d.constant ? 1 : step.TilesBefore(d.rows.end) - d.first_tile;
      d.first_digest = plan.digests;
      plan.digests += d.tiles;
    }
  }
  for (const PlanTensor& tensor : plan.tensors) plan.payload_bytes += tensor.info.bytes();
  for (const PlanFile& file : plan.files) plan.file_bytes += file.bytes;
}

namespace {

void HashText(Xxh3Stream& hash, std::string_view text) {
  hash.Update(text.size());
  hash.Update(text);
}

void HashStep(Xxh3Stream& hash, const Step& step) {
  HashText(hash, step.from == nullptr ? "" : step.from->name());
  HashText(hash, step.to == nullptr ? "" : step.to->name());
  hash.Update(uint64_t{step.repacks});
  for (const uint64_t n : {step.rows, step.cols, step.row_bytes, step.tile_rows}) hash.Update(n);
  const auto source = [&hash](const SourceRef& ref) {
    hash.Update(ref.checkpoint);
    hash.Update(ref.tensor);
  };
  hash.Update(step.sources.size());
  for (const SourceRef& ref : step.sources) source(ref);
  hash.Update(step.given.size());
  for (const auto& [part, ref] : step.given) {
    hash.Update(part);
    source(ref);
  }
  hash.Update(step.destinations.size());
  for (const Destination& d : step.destinations) {
    for (const uint64_t n : {uint64_t{d.tensor}, uint64_t{d.part}, d.rows.begin, d.rows.end,
                             d.columns.begin, d.columns.end, d.base}) {
      hash.Update(n);
    }
  }
}

}  // namespace

Digest HashPlan(const Plan& plan) {
  Xxh3Stream hash;
  hash.Update(kNumericsVersion);
  hash.Update(kTileBytes);
  for (const auto& source : plan.sources) hash.Update(source->fingerprint().bytes);
  for (const auto& [key, value] : plan.request) {
    HashText(hash, key);
    HashText(hash, value);
  }
  for (const PlanFile& file : plan.files) {
    HashText(hash, file.name);
    HashText(hash, file.header);
    hash.Update(file.bytes);
    hash.Update(file.folder);
  }
  for (const PlanTensor& tensor : plan.tensors) {
    hash.Update(tensor.file);
    hash.Update(tensor.offset);
  }
  for (const Step& step : plan.steps) HashStep(hash, step);
  for (const PlanFolder& folder : plan.folders) {
    HashText(hash, folder.file);
    HashText(hash, folder.config);
    HashText(hash, folder.index_name);
    for (const PlanText& text : folder.texts) {
      HashText(hash, text.name);
      HashText(hash, text.text);
    }
    for (const std::string& name : folder.side_files) HashText(hash, name);
  }
  return hash.Finish();
}

}  // namespace tessera
