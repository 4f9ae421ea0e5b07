// An output beside its manifest, both hostile: the comparison ends, accounts for every tensor of
// the manifest, and holds only where nothing was found.
//
// An input is the folder as one JSON document.
#include "formats/manifest.h"
#include "tests/fuzz/folder_document.h"
#include "tests/fuzz/require.h"
#include "verify/manifest_check.h"

namespace {

using namespace tessera;

// Every byte is read, in pieces as small as the manifest says: more would only take its time.
constexpr uint64_t kMostBytes = uint64_t{1} << 22;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  const auto document = ParseJson(AsText(data, size));
  if (!document || !document->is_object()) return 0;
  if (WriteFolder(dir, *document) > kMostBytes) return 0;
  WorkCounters counters;
  const auto report = CheckManifest(dir.path(), {.threads = 1}, counters);
  if (!report) return 0;
  const Manifest manifest = ReadManifest(dir / kManifestName).value();
  Require(report->exact + report->failed + report->missing == manifest.tensors.size());
  Require(report->side_files <= manifest.side_files.size());
  const bool all = report->exact == manifest.tensors.size() && report->extra == 0 &&
                   report->side_files == manifest.side_files.size();
  Require(all || !report->holds());
  return 0;
}
