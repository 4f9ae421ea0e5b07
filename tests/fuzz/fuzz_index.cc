// The index of a sharded checkpoint: what is accepted is sorted, maps each tensor once, and names
// no file outside the folder.
#include <algorithm>
#include <functional>
#include <string>

#include "formats/file.h"
#include "formats/shard_index.h"
#include "tests/fuzz/require.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace tessera;

void CheckOrder(const ShardIndex& index) {
  const auto rises = [](const auto& range, auto field) {
    return std::ranges::adjacent_find(range, std::greater_equal<>(), field) == range.end();
  };
  Require(rises(index.files, std::identity()));
  Require(rises(index.entries, &IndexEntry::tensor));
  for (const IndexEntry& entry : index.entries) Require(entry.file < index.files.size());
}

void CheckNames(const ShardIndex& index) {
  for (const std::string& file : index.files) {
    if (CheckShardName(file)) Require(file.find('/') == std::string::npos && StaysInside(file));
  }
  FaultList faults(1000);
  CheckShardNumbering(index.files, faults);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  dir.Write("index.json", AsText(data, size));
  const auto index = ReadShardIndex(dir / "index.json");
  if (!index) return 0;
  CheckOrder(*index);
  CheckNames(*index);
  return 0;
}
