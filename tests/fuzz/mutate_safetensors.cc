// How libFuzzer changes safetensors headers: as JSON, and half of the time so that offsets and the
// size of the data follow from the shapes again, since nearly nothing else is accepted.
#include <algorithm>
#include <cstring>

#include "formats/json.h"
#include "formats/tensor.h"
#include "tests/fuzz/json_mutator.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

// 0 for what has no size.
uint64_t BytesOf(const Json& entry) {
  const auto dtype = entry.find("dtype"), shape = entry.find("shape");
  if (dtype == entry.end() || shape == entry.end() || !dtype->is_string()) return 0;
  const auto type = ParseSafetensorsDtype(dtype->get<std::string>());
  Shape dims;
  for (const Json& dim : *shape) {
    if (!dim.is_number_unsigned()) return 0;
    dims.push_back(dim.get<uint64_t>());
  }
  if (!type) return 0;
  const auto info = TensorInfo::Make("", *type, dims);
  return info ? info->bytes() : 0;
}

// The header with tensors one after the other; how much data that is.
uint64_t LayOut(Json& header) {
  uint64_t end = 0;
  for (auto& [name, entry] : header.items()) {
    if (name == "__metadata__" || !entry.is_object()) continue;
    const uint64_t begin = end;
    end += BytesOf(entry);
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
