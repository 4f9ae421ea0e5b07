// The complete, hashable description of a run. Made from headers alone; immutable once made.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert/tensor_quality.h"
#include "formats/checkpoint.h"
#include "formats/hash.h"
#include "formats/manifest.h"
#include "formats/zstd_frames.h"
#include "quant/imatrix.h"
#include "quant/storage.h"

namespace tessera {

// A tile is about this many bytes, source and destination together. Part of the Plan and the
// manifest, independent of --memory and --threads, so that a resumed run may change both.
inline constexpr uint64_t kTileBytes = uint64_t{8} << 20;

struct PlanFile {
  std::string name;    // within OUT
  std::string header;  // everything before the first tensor's bytes
  uint64_t bytes = 0;  // of the whole file, before it is compressed
  uint32_t folder = 0;
};

struct PlanText {
  std::string name, text;
};

// One output folder: what it holds beside its shards, and what it says of the source.
struct PlanFolder {
  // Empty: the folder is the output. Else the output is this file, and those it is split into, in a
  // folder that is others' too.
  std::string file;
  std::string config;                   // config.json; empty: none
  std::vector<PlanText> texts;          // other files that describe the weights
  std::string index_name;               // "model.safetensors.index.json"; empty: no index
  bool index_total = true;              // the index has a total_size
  std::vector<std::string> side_files;  // copied from sources[0]
  // Every source tensor once; what went to another folder is dropped by rule "split".
  Ledger ledger;
  std::vector<DropRule> rules;

  std::string staging_name() const { return file + ".partial"; }
  std::string manifest_name() const;
};

struct PlanTensor {
  TensorInfo info;
  uint32_t file;
  uint64_t offset;  // in the file
  Action by;
};

struct SourceRef {
  uint32_t checkpoint = 0;  // index into Plan::sources
  uint32_t tensor = 0;      // index into its tensors()
};

// A rectangle of part `part` fills the plan tensor `tensor`, or its share of it: rows `rows` of the
// weight, and of each of the part's rows the bytes `columns`.
struct Destination {
  uint32_t tensor;
  uint32_t part;
  RowRange rows;
  ByteRange columns;
  uint64_t row_bytes;     // of a whole row of the part
  uint64_t first_tile;    // of the step: the one with which `rows` begins
  uint64_t tiles;         // how many fill it
  uint64_t first_digest;  // where their digests begin in a run's digest table
  bool constant = false;  // of a constant part: filled by the step's first tile alone
  uint64_t base = 0;      // where in the tensor its share begins: experts lie one after the other

  bool is_whole_rows() const { return columns.size() == row_bytes; }
};

// Columns' importance for the encoding of one part: that of `count` matrices from `first` on, of
// the `matrices` that the tensor consists of.
struct ImportanceRef {
  const Importance* entry = nullptr;  // null: nothing was measured
  uint64_t first = 0, count = 1, matrices = 1;
  uint64_t columns = 0;
};

// One logical weight: read rows, decode, encode, write to every destination. A step without schemes
// copies bytes: then its "rows" are rows of row_bytes of source part 0.
struct Step {
  const Scheme* from = nullptr;
  const Scheme* to = nullptr;
  uint64_t rows = 0, cols = 0;
  uint64_t row_bytes = 0;  // of a copy
  bool repacks = false;    // from and to are integers that stay what they are
  std::vector<SourceRef> sources;
  // Parts of `to` that come from elsewhere instead of being computed (scales handed over), as
  // {part, source}.
  std::vector<std::pair<uint32_t, SourceRef>> given;
  std::vector<ImportanceRef> importance;  // by part of `to`, a GgmlScheme; empty: none is used
  std::vector<Destination> destinations;
  // Disjoint and rising. Tiles do not cross their borders, and every destination's rows are some of
  // them in a row, so that a tile belongs to a destination as a whole or not at all.
  std::vector<RowRange> bands;
  uint64_t tile_rows = 0;
  uint64_t first_tile = 0;  // number of its first tile within the Plan

  bool is_copy() const { return from == nullptr; }
  uint64_t tiles() const { return TilesBefore(rows); }
  // Tiles of the bands that end at or before this row.
  uint64_t TilesBefore(uint64_t row) const;
  RowRange TileRows(uint64_t tile) const;
};

// The MTP module's own embedding or head, as --dedup-mtp found it.
struct MtpCopy {
  std::string name;
  std::string original;  // the main model's; empty: it is not there
  bool equal = false;    // and so dropped
};

struct Plan {
  std::vector<std::shared_ptr<const Checkpoint>> sources;
  uint32_t inputs = 1;  // the first ones are converted, others only lend their scales
  std::vector<std::shared_ptr<const StorageMap>> storage;  // of each source; owns decoding schemes
  std::vector<std::shared_ptr<const Scheme>> schemes;      // encoding ones
  std::shared_ptr<const ImportanceMatrix> importance;      // that steps refer to

  std::vector<PlanFolder> folders;  // [0] keeps the journal and is sealed last
  std::vector<PlanFile> files;      // by folder, then name
  bool first_file_last = false;     // its final name says that all files are there
  Compression compress;             // how files are stored
  std::vector<PlanTensor> tensors;  // by file, then offset
  std::vector<Step> steps;          // by source shard and offset: reading is sequential
  uint64_t tiles = 0, digests = 0;

  Ledger ledger;  // of all inputs and folders
  std::vector<DropRule> rules;
  std::vector<MtpCopy> mtp_copies;                           // with --dedup-mtp
  std::vector<std::pair<std::string, std::string>> request;  // what shapes bytes, by key

  uint64_t payload_bytes = 0;  // of all tensors
  uint64_t file_bytes = 0;     // of all files
  Digest hash;                 // over all of the above and the sources' fingerprints

  // Of a requantization: who loads it, and what to start the server with.
  std::vector<std::string> engines, launch_flags;

  bool saturate = false;         // values beyond F16's range are clipped, not refused
  QualityLimits quality_limits;  // of weights quantized to integers
};

// Sizes of what a tile reads and computes; used alike for buffers, budgets and the executor's cuts.
struct TileShape {
  std::vector<ByteRange> reads;   // by source part, relative to the tensor
  std::vector<ByteRange> writes;  // by part of `to`, relative to the part
};
TileShape ShapeOfTile(const Step& step, RowRange rows);

// Where the part of a tile that belongs to a destination lies in the destination's tensor; nullopt
// if none of it does. `shape` is the tile's.
std::optional<ByteRange> PlaceInDestination(const Step& step, const Destination& destination,
                                            RowRange rows, const TileShape& shape);

// About kTileBytes, in multiples of what the schemes need.
uint64_t TileRowsOf(const Step& step);

// Numbers the tiles and digests of the steps, and sums up what files and tensors weigh.
void Tally(Plan& plan);

Digest HashPlan(const Plan& plan);

}  // namespace tessera
