// How libFuzzer changes safetensors headers: as JSON, and half of the time so that offsets and the
// size of the data follow from the shapes again, since nearly nothing else is accepted.
#include <algorithm>
#include <cstring>

#include "formats/json.h"
#include "tests/fuzz/json_mutator.h"
#include "tests/fuzz/require.h"
#include "tests/support/safetensors_file.h"

namespace {

using namespace tessera;

// The header with tensors one after the other; how much data that is.
uint64_t LayOut(Json& header) {
  uint64_t end = 0;
  for (auto& [name, entry] : header.items()) {
    if (name == "__metadata__" || !entry.is_object()) continue;
    const uint64_t begin = end;
    end += BytesOfEntry(entry);
    entry["data_offsets"] = {begin, end};
  }
  return end;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  uint64_t data_bytes = 0;
  if (size < sizeof data_bytes) return Deliver(std::string(8, '\0') + "{}", data, size, max_size);
  std::memcpy(&data_bytes, data, sizeof data_bytes);
  std::string text = MutateJson(AsText(data, size).substr(sizeof data_bytes), seed);
  if (seed % 2 == 0) {
    if (auto header = ParseJson(text); header && header->is_object()) {
      data_bytes = LayOut(*header);
      text = header->dump(-1, ' ', false, Json::error_handler_t::replace);
    }
  }
  std::string input(sizeof data_bytes, '\0');
  std::memcpy(input.data(), &data_bytes, sizeof data_bytes);
  return Deliver(input + text, data, size, max_size);
}
