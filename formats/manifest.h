// tessera.manifest.json: what a run made, from what, and a digest of every output tensor. Written
// last; its layout is part of the command-line contract (docs/cli.md).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/dtype.h"
#include "formats/hash.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

inline constexpr std::string_view kManifestName = "tessera.manifest.json";
// The name where the output is not a folder but this file (and those it is split into).
std::string ManifestNameOf(std::string_view file);

// What happened to a source tensor's values.
enum class Action : uint8_t {
  kCopied,       // renamed and sliced included
  kCast,         // between plain dtypes
  kDequantized,  // had scales
  kQuantized,
  kRepacked,
  kFolded,   // a scale consumed by its weight
  kDropped,  // by a named rule
};
inline constexpr size_t kActions = 7;
std::string_view Name(Action action);

// Counts every source tensor exactly once.
struct Ledger {
  std::array<uint64_t, kActions> counts{};

  uint64_t& operator[](Action a) { return counts[static_cast<size_t>(a)]; }
  uint64_t operator[](Action a) const { return counts[static_cast<size_t>(a)]; }
  uint64_t total() const;
};

struct DropRule {
  std::string rule;  // "mtp-drop", ...
  uint64_t tensors = 0;
};

struct ManifestFile {
  std::string name;
  uint64_t bytes = 0;
  Digest header;       // XXH3-128 of everything before the first tensor
  std::string sha256;  // of the whole file; empty unless asked for
};

// config.json, the index, and every file copied beside them.
struct ManifestSideFile {
  std::string name;
  uint64_t bytes = 0;
  Digest digest;  // of the contents
};

// How well a quantized weight stands for what it was made from; ratios in dB.
struct TensorQuality {
  double sqnr = 0;            // signal to the noise of quantizing
  double predicted_sqnr = 0;  // to the noise that rounding under the stored scales has
  double gain = 1;            // least squares: what the stored values should be multiplied by
  double worst_row_sqnr = 0, worst_group_sqnr = 0;
  uint64_t worst_row = 0;                         // of the weight
  uint64_t worst_group_row = 0, worst_group = 0;  // its place in that row
  uint64_t zero_groups = 0, saturated = 0;
  bool below = false;  // worse than its scheme should make it
};

struct ManifestTensor {
  std::string name;
  std::string file;
  Dtype dtype{};
  Shape shape;
  uint64_t tile_bytes = 0;  // its tiles are this many bytes each, the last one the rest
  Digest digest;            // over the tiles' digests in order
  std::vector<std::string> from;
  Action by{};
  uint64_t nan_codes = 0;                     // FP8 NaN codes met; written only when not zero
  std::optional<TensorQuality> quality = {};  // of a weight quantized to integers
};

struct Manifest {
  std::string tool_version;
  int numerics = 0;
  Digest source_fingerprint;
  uint64_t source_tensors = 0, source_bytes = 0;
  std::vector<std::pair<std::string, std::string>> request;
  Digest plan;
  uint64_t tile_bytes = 0;
  Ledger ledger;
  std::vector<DropRule> rules;
  std::vector<ManifestFile> files;           // by name
  std::vector<ManifestSideFile> side_files;  // by name
  std::vector<ManifestTensor> tensors;       // by name; where ranks share names, by file first
};

std::string RenderManifest(const Manifest& manifest);
// Strict: unknown schema versions, missing keys and wrong types are kBadManifest.
Result<Manifest> ParseManifest(std::string_view text);
Result<Manifest> ReadManifest(const std::filesystem::path& file);

}  // namespace tessera
