// One GGUF file, version 3: metadata, tensor infos, padding, then the tensors' bytes, each padded
// to the alignment. Little-endian. Source: ggml/src/gguf.cpp; read more strictly than it does
// (docs/formats.md lists the rules).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "formats/file.h"
#include "formats/result.h"
#include "formats/tensor.h"

namespace tessera {

inline constexpr uint64_t kGgufAlignment = 32;
// Ten times what the largest vocabularies take; bounds what a file can make us allocate.
inline constexpr uint64_t kMaxGgufHeader = uint64_t{1} << 28;
inline constexpr size_t kMaxGgufName = 63;  // bytes of a tensor's name
inline constexpr size_t kMaxGgufRank = 4;

// In the order of the value types' ids up to F64, arrays by element type after them. Strings are
// bytes: vocabularies hold pieces that are not UTF-8.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, uint64_t, int64_t, double, std::vector<uint8_t>,
                               std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                               std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>,
                               std::vector<bool>, std::vector<std::string>, std::vector<uint64_t>,
                               std::vector<int64_t>, std::vector<double>>;

using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;  // in file order, keys unique

// nullptr if absent. O(n).
const GgufValue* Find(const GgufMetadata& metadata, std::string_view key);
// The same of one type: nullptr also for a value of another.
template <class T>
const T* FindValue(const GgufMetadata& metadata, std::string_view key) {
  return std::get_if<T>(Find(metadata, key));
}
// "u32", "string", "array of f32".
std::string TypeName(const GgufValue& value);

struct GgufEntry {
  TensorInfo info;  // row-major, outermost dimension first: the reverse of the file's order
  uint64_t begin;   // from the start of the data
};

struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufEntry> entries;  // as listed, which is by begin
  uint64_t alignment = kGgufAlignment;
  uint64_t data_begin = 0;  // file offset of the data
  uint64_t data_bytes = 0;  // of the rest of the file, padding after the last tensor included
};

// `beginning` is the file's first bytes, at least up to the data; `file_bytes` its size. Every
// count is bounded by the bytes that are there before anything is allocated for it.
Result<GgufHeader> ParseGgufHeader(std::string_view beginning, uint64_t file_bytes);

// The same of an open file, reading as much as it needs; the error names the file. `raw`, if given,
// receives the bytes before the data (for fingerprints).
Result<GgufHeader> ReadGgufHeader(const File& file, std::string* raw = nullptr);

// Everything before the data, padded, for tensors laid out one after the other in the given order,
// each padded to kGgufAlignment. Fails with kDuplicateTensor, kBadMetadata (an empty or repeated
// key, general.alignment), kSizeOverflow, kHeaderTooLarge, kBadTensorEntry (an empty name or one
// over 63 bytes, more than 4 dimensions), kUnknownDtype (a type that ggml does not know).
Result<std::string> RenderGgufHeader(const GgufMetadata& metadata,
                                     std::span<const TensorInfo* const> tensors);

// Rounded up to the next multiple, a power of two; UINT64_MAX if there is none.
uint64_t PadTo(uint64_t size, uint64_t alignment);

}  // namespace tessera
