// The metadata of a GGUF file, as `tessera inspect` shows them.
#pragma once

#include "cli/session.h"
#include "formats/gguf.h"

namespace tessera::cli {

// Key, type and value; long strings cut short, of arrays the number of elements.
void PrintGgufMetadata(Terminal& terminal, const GgufMetadata& metadata);
// By key; an array is {"type", "elements"}.
SortedJson GgufMetadataJson(const GgufMetadata& metadata);

}  // namespace tessera::cli
