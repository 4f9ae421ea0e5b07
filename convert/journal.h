// What a run has made durable so far, so that the same command can go on after any interruption.
//
// A text line names the plan and the state of the inputs; then one record a tile: length, payload,
// check. A record is appended only after the tile's bytes were synced. Reading stops at the first
// record that is torn or damaged: the tiles behind it are simply made again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/file.h"
#include "formats/hash.h"
#include "formats/result.h"
#include "quant/scheme.h"

namespace tessera {

struct TileRecord {
  uint64_t tile = 0;  // number within the Plan
  ValueStats stats;
  std::vector<Digest> digests;  // one a destination
};

struct JournalHead {
  Digest plan;
  Digest inputs;  // sizes and modification times: a changed input must not be mixed with old work
  std::string request;  // "mtp=keep to=bf16": what a person can compare; one line

  friend bool operator==(const JournalHead&, const JournalHead&) = default;
};

class Journal {
 public:
  // Opens or makes the journal. kPlanMismatch or kInputChanged, with both values, if it belongs to
  // other work; a journal whose first line is torn counts as new, since nothing durable can depend
  // on it.
  static Result<Journal> Open(const std::filesystem::path& path, const JournalHead& head);

  // What is recorded there; another run may be appending to it.
  static Result<std::vector<TileRecord>> Read(const std::filesystem::path& path,
                                              const JournalHead& head);

  // As if nothing had been done: what it recorded is no longer there.
  Result<void> Forget();

  // Appends and syncs.
  Result<void> Append(std::span<const TileRecord> records);

 private:
  explicit Journal(File file) : file_(std::move(file)) {}

  File file_;
  uint64_t head_end_ = 0, end_ = 0;
};

}  // namespace tessera
