// The GGUF header parser: any bytes are refused or accepted, and what is accepted lies within the
// file and survives being written and read again. A model that it describes is one that can be
// opened, or is refused.
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "formats/model_spec.h"
#include "tests/fuzz/require.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace tessera;

constexpr uint64_t kMaxFile = uint64_t{1} << 42;  // what file systems take

std::vector<const TensorInfo*> Tensors(const GgufHeader& header) {
  std::vector<const TensorInfo*> tensors;
  for (const GgufEntry& entry : header.entries) tensors.push_back(&entry.info);
  return tensors;
}

// Bytes are compared, not values: a NaN is no equal of itself.
void CheckRoundTrip(const GgufHeader& header) {
  const auto rendered = RenderGgufHeader(header.metadata, Tensors(header));
  if (!rendered) return;  // general.alignment, which ours do not have
  uint64_t data_bytes = 0;
  for (const GgufEntry& entry : header.entries) {
    data_bytes += PadTo(entry.info.bytes(), kGgufAlignment);
  }
  const auto again = ParseGgufHeader(*rendered, rendered->size() + data_bytes);
  Require(again.has_value());
  Require(RenderGgufHeader(again->metadata, Tensors(*again)).value() == *rendered);
}

void CheckModel(std::string_view header_bytes, uint64_t file_bytes) {
  static const TempDir dir;
  dir.Write("model.gguf", header_bytes);
  std::filesystem::resize_file(dir / "model.gguf", file_bytes);
  const auto checkpoint = Checkpoint::Open(dir / "model.gguf");
  if (!checkpoint) return;
  for (const TensorExtent& tensor : checkpoint->tensors()) {
    Require(tensor.offset <= file_bytes && tensor.info.bytes() <= file_bytes - tensor.offset);
  }
  if (const auto spec = ModelSpec::Of(*checkpoint)) CheckCompleteness(*spec, *checkpoint);
}

}  // namespace

// The first eight bytes are the size of the data that is said to follow.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint64_t more = 0;
  if (size < sizeof more) return 0;
  std::memcpy(&more, data, sizeof more);
  const std::string_view header_bytes = AsText(data, size).substr(sizeof more);
  if (more > UINT64_MAX - header_bytes.size()) return 0;
  const uint64_t file_bytes = header_bytes.size() + more;
  const auto header = ParseGgufHeader(header_bytes, file_bytes);
  if (!header) return 0;
  Require(header->data_begin + header->data_bytes == file_bytes);
  for (const GgufEntry& entry : header->entries) {
    Require(entry.begin + entry.info.bytes() <= header->data_bytes);
  }
  CheckRoundTrip(*header);
  if (file_bytes < kMaxFile) CheckModel(header_bytes, file_bytes);
  return 0;
}
