// The manifest: what is accepted names no file outside the folder, and is the same when written and
// read again.
#include <string>

#include "formats/file.h"
#include "formats/manifest.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

void CheckNames(const Manifest& manifest) {
  for (const ManifestFile& file : manifest.files) Require(StaysInside(file.name));
  for (const ManifestSideFile& file : manifest.side_files) Require(StaysInside(file.name));
  Require(manifest.ledger.total() == manifest.source_tensors);
}

void CheckRoundTrip(Manifest manifest) {
  // Written with four decimals, as measured values are.
  for (ManifestTensor& tensor : manifest.tensors) tensor.quality.reset();
  const std::string text = RenderManifest(manifest);
  const auto again = ParseManifest(text);
  // Names that only a file's prefix puts in order are none of ours.
  if (again) Require(RenderManifest(*again) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto manifest = ParseManifest(AsText(data, size));
  if (!manifest) return 0;
  CheckNames(*manifest);
  CheckRoundTrip(*std::move(manifest));
  return 0;
}
