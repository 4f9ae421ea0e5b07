// The header parser: any bytes are refused or accepted, and what is accepted keeps the format's
// rules and survives being written and read again.
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "formats/safetensors.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

// Tensors in order, dense from 0 to the end.
void CheckLayout(const SafetensorsHeader& header, uint64_t data_bytes) {
  uint64_t end = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    Require(entry.begin == end);
    end += entry.info.bytes();
  }
  Require(end == data_bytes);
}

void CheckRoundTrip(const SafetensorsHeader& header, uint64_t data_bytes) {
  std::vector<const TensorInfo*> tensors;
  for (const SafetensorsEntry& entry : header.entries) tensors.push_back(&entry.info);
  const auto rendered = RenderSafetensorsHeader(tensors, header.metadata);
  if (!rendered) return;  // names that a header may hold but ours do not
  Require(rendered->size() % 8 == 0);
  const auto again = ParseSafetensorsHeader(std::string_view(*rendered).substr(8), data_bytes);
  Require(again.has_value());
  Require(again->entries.size() == header.entries.size());
  for (size_t i = 0; i < again->entries.size(); ++i) {
    Require(again->entries[i].info == header.entries[i].info);
    Require(again->entries[i].begin == header.entries[i].begin);
  }
  Require(again->metadata == header.metadata);
}

}  // namespace

// The first eight bytes are the size of the data that is said to follow the header.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint64_t data_bytes = 0;
  if (size < sizeof data_bytes) return 0;
  std::memcpy(&data_bytes, data, sizeof data_bytes);
  const std::string_view json = AsText(data, size).substr(sizeof data_bytes);
  const auto header = ParseSafetensorsHeader(json, data_bytes);
  if (!header) return 0;
  CheckLayout(*header, data_bytes);
  CheckRoundTrip(*header, data_bytes);
  return 0;
}
