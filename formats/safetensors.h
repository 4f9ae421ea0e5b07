// One safetensors file: an 8-byte little-endian length N, N bytes of JSON, then the tensors' bytes,
// dense and in offset order. Read more strictly than the reference reader does (docs/formats.md
// lists the rules); offsets need not be aligned.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/file_contents.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // decimal, as upstream has it
inline constexpr uint64_t kMaxTensorsPerFile = uint64_t{1} << 20;

using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;  // in file order

struct SafetensorsEntry {
  TensorInfo info;
  uint64_t begin;  // from the start of the data, not of the file
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry>
      entries;                   // by begin, zero-sized ones first among equals, then as listed
  SafetensorsMetadata metadata;  // without __metadata__ in the file: empty
  uint64_t data_begin = 0;       // 8 + N: the file offset of the data
  uint64_t data_bytes = 0;
  uint64_t unaligned = 0;       // tensors whose file offset is no multiple of their element size
  uint64_t unknown_fields = 0;  // fields beside dtype, shape, data_offsets; skipped
};

// `json` is exactly the N header bytes; `data_bytes` is what follows them in the file. Every rule
// is checked before anything is returned. Time O(n log n) in the number of tensors.
Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json, uint64_t data_bytes);

// How a Git LFS pointer file begins: what `git clone` leaves where LFS is not installed.
inline constexpr std::string_view kLfsPointerBeginning = "version https://git-lfs";
bool IsLfsPointer(std::string_view beginning);
Error LfsPointerError();

// Reads and parses the header of an open file; the error names the file. `raw`, if given, receives
// the header bytes, length field included (for fingerprints).
Result<SafetensorsHeader> ReadSafetensorsHeader(const FileContents& file,
                                                std::string* raw = nullptr);

// Renders length field, JSON and padding spaces (to a multiple of 8, as upstream's writer) for
// tensors laid out one after the other in the given order, which is also their order in the JSON;
// __metadata__ comes first and is left out when empty. Fails with kDuplicateTensor,
// kJsonDuplicateKey (in the metadata), kHeaderTooLarge, kSizeOverflow, or kBadTensorEntry for the
// name __metadata__ and names that are not UTF-8 or hold control characters.
Result<std::string> RenderSafetensorsHeader(std::span<const TensorInfo* const> tensors,
                                            const SafetensorsMetadata& metadata);

}  // namespace tessera
