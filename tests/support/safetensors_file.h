// Safetensors files as tests put them together.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"
#include "formats/safetensors.h"

namespace tessera {

// A U8 tensor's name and its bytes.
using Contents = std::vector<std::pair<std::string, std::string>>;

// A whole file of such tensors.
std::string ShardBytes(const Contents& tensors,
                       const SafetensorsMetadata& metadata = {{"format", "pt"}});

// What a tensor takes by the dtype and shape of its entry in a header; 0 for what has no size.
uint64_t BytesOfEntry(const Json& entry);

}  // namespace tessera
