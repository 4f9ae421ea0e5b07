// A folder as one JSON document, for targets that read several files beside each other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "formats/json.h"
#include "tests/support/temp_dir.h"

namespace tessera {

// Gives `dir` the files that the document names and no others. A *.safetensors is said by its
// header, see ShardOf; any other file by its text or, where that is no string, as JSON. Names that
// a folder cannot hold, and keys without a dot, are left out. Returns the size of all files, of
// which most may be holes.
uint64_t WriteFolder(const TempDir& dir, const Json& document);

// A safetensors file of tensors as a header lists them. Those without data_offsets get the ones
// that the format wants, so that changed shapes mean changed files; of `values` those bytes are
// made that the dtype has for them, and all others are zero. `size` is what the file is to
// be extended to.
struct ShardFile {
  std::string bytes;
  uint64_t size = 0;
};
ShardFile ShardOf(Json header);

// The bytes of some numbers in a dtype: F32 and integers; of others one byte each.
std::string BytesOfValues(const Json& values, std::string_view dtype);

}  // namespace tessera
