// GGUF headers, written.
#include <algorithm>
#include <type_traits>

#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/repeated.h"
#include "formats/safetensors.h"

namespace tessera {
namespace {

constexpr uint32_t kArray = 9;
constexpr size_t kScalars = 12;
constexpr const char* kTypeNames[kScalars] = {"u8",  "i8",   "u16",    "i16", "u32", "i32",
                                              "f32", "bool", "string", "u64", "i64", "f64"};

// Of a scalar, or of an array's elements.
size_t ElementIndex(const GgufValue& value) { return value.index() % kScalars; }
// Ids leave out that of arrays.
uint32_t IdOf(size_t element) {
  return static_cast<uint32_t>(element < kArray ? element : element + 1);
}

template <class T>
void Put(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    Put(out, uint64_t{value.size()});
    out += value;
  } else if constexpr (std::is_same_v<T, bool>) {
    out += value ? '\1' : '\0';
  } else {
    out.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
}

template <class T>
void Put(std::string& out, const std::vector<T>& values) {
  Put(out, uint64_t{values.size()});
  for (const auto& value : values) Put<T>(out, value);
}

void PutValue(std::string& out, const GgufValue& value) {
  if (value.index() >= kScalars) Put(out, kArray);
  Put(out, IdOf(ElementIndex(value)));
  std::visit([&](const auto& v) { Put(out, v); }, value);
}

Result<void> CheckMetadata(const GgufMetadata& metadata) {
  for (const auto& [key, value] : metadata) {
    if (key.empty() || FindNonUtf8(key) || key == "general.alignment") {
      return Fail(Error(ErrorCode::kBadMetadata, "not a key that metadata can be written under")
                      .Expected("UTF-8, and not general.alignment")
                      .Found(QuoteJson(key)));
    }
  }
  const auto twice = FindRepeated(metadata.size(),
                                  [&](size_t i) -> std::string_view { return metadata[i].first; });
  if (!twice) return {};
  return Fail(ErrorCode::kBadMetadata,
              "metadata has the key " + QuoteJson(metadata[twice->second].first) + " twice");
}

Result<void> CheckTensors(std::span<const TensorInfo* const> tensors) {
  for (const TensorInfo* tensor : tensors) {
    const std::string& name = tensor->name();
    if (name.empty() || name.size() > kMaxGgufName || FindNonUtf8(name)) {
      return Fail(Error(ErrorCode::kBadTensorEntry, "not a name a tensor can be written under")
                      .Of(name)
                      .Expected("1 to 63 bytes of UTF-8")
                      .Found(std::to_string(name.size()) + " bytes"));
    }
    if (tensor->shape().size() > kMaxGgufRank) {
      return Fail(Error(ErrorCode::kBadTensorEntry, "a tensor has too many dimensions for GGUF")
                      .Of(name)
                      .Expected("at most 4")
                      .Found(tensor->Describe()));
    }
    if (!Info(tensor->dtype()).ggml) {
      return Fail(Error(ErrorCode::kUnknownDtype, "GGUF has no such element type")
                      .Of(name)
                      .Found(tensor->Describe()));
    }
  }
  const auto twice = FindRepeated(tensors.size(),
                                  [&](size_t i) -> std::string_view { return tensors[i]->name(); });
  if (!twice) return {};
  return Fail(Error(ErrorCode::kDuplicateTensor, "two tensors of one file have the same name")
                  .Of(tensors[twice->second]->name()));
}

}  // namespace

std::string TypeName(const GgufValue& value) {
  const std::string element = kTypeNames[ElementIndex(value)];
  return value.index() < kScalars ? element : "array of " + element;
}

uint64_t PadTo(uint64_t size, uint64_t alignment) {
  const uint64_t padding = (alignment - size % alignment) % alignment;
  return size > UINT64_MAX - padding ? UINT64_MAX : size + padding;
}

Result<std::string> RenderGgufHeader(const GgufMetadata& metadata,
                                     std::span<const TensorInfo* const> tensors) {
  TESSERA_TRY(CheckMetadata(metadata));
  TESSERA_TRY(CheckTensors(tensors));
  std::string out = "GGUF";
  Put(out, uint32_t{3});
  Put(out, uint64_t{tensors.size()});
  Put(out, uint64_t{metadata.size()});
  for (const auto& [key, value] : metadata) {
    Put(out, key);
    PutValue(out, value);
  }
  uint64_t begin = 0;
  for (const TensorInfo* tensor : tensors) {
    Put(out, tensor->name());
    Put(out, static_cast<uint32_t>(tensor->shape().size()));
    for (size_t i = tensor->shape().size(); i-- > 0;) Put(out, tensor->shape()[i]);
    Put(out, uint32_t{*Info(tensor->dtype()).ggml});
    Put(out, begin);
    if (__builtin_add_overflow(begin, PadTo(tensor->bytes(), kGgufAlignment), &begin) ||
        begin > uint64_t{INT64_MAX}) {
      return Fail(Error(ErrorCode::kSizeOverflow, "a file's data would overflow 64 bits")
                      .Of(tensor->name()));
    }
  }
  out.resize(PadTo(out.size(), kGgufAlignment));
  if (out.size() > kMaxGgufHeader || tensors.size() > kMaxTensorsPerFile) {
    return Fail(Error(ErrorCode::kHeaderTooLarge, "a header would be too large to be read again")
                    .Expected("at most " + std::to_string(kMaxGgufHeader) + " bytes and " +
                              std::to_string(kMaxTensorsPerFile) + " tensors")
                    .Found(std::to_string(out.size()) + " bytes and " +
                           std::to_string(tensors.size()) + " tensors"));
  }
  return out;
}

}  // namespace tessera
