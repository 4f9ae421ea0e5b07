// GGUF headers, read.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/repeated.h"
#include "formats/safetensors.h"

namespace tessera {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kVersion = 3;
constexpr size_t kMaxPairs = size_t{1} << 16;
constexpr size_t kMaxKey = 65535;
constexpr uint32_t kArray = 9;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 16;
// The least that a pair, an array's string and a tensor take in the file.
constexpr uint64_t kMinPair = 8 + 1 + 4 + 1, kMinString = 8, kMinTensor = 8 + 1 + 4 + 4 + 8;
constexpr uint64_t kFirstRead = uint64_t{1} << 20;
constexpr const char* kFetchAgain = "the download is incomplete; fetch the file again";

class HeaderParser {
 public:
  HeaderParser(std::string_view bytes, uint64_t file_bytes)
      : bytes_(bytes), file_bytes_(file_bytes) {}

  Result<GgufHeader> Run() {
    TESSERA_TRY(CheckBeginning());
    TESSERA_ASSIGN(const auto tensors, Take<uint64_t>());
    TESSERA_ASSIGN(const auto pairs, Take<uint64_t>());
    TESSERA_TRY(
        CheckCount(ErrorCode::kTooManyTensors, "tensors", tensors, kMinTensor, kMaxTensorsPerFile));
    TESSERA_TRY(CheckCount(ErrorCode::kBadMetadata, "metadata pairs", pairs, kMinPair, kMaxPairs));
    for (uint64_t i = 0; i < pairs; ++i) TESSERA_TRY(TakePair());
    TESSERA_TRY(CheckKeysUnique());
    TESSERA_TRY(FindAlignment());
    for (uint64_t i = 0; i < tensors; ++i) TESSERA_TRY(TakeTensor());
    TESSERA_TRY(CheckNamesUnique());
    TESSERA_TRY(FindData());
    return std::move(header_);
  }

  // After a failure: the file goes on, and so might the header.
  bool wants_more() const { return wants_more_; }

 private:
  uint64_t FileBytesLeft() const { return file_bytes_ - at_; }

  // The next `size` bytes.
  Result<const char*> Take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      wants_more_ = size <= FileBytesLeft();
      return Fail(Error(ErrorCode::kTruncated, "the file ends within its header")
                      .Expected(std::to_string(size) + " bytes from byte " + std::to_string(at_))
                      .Found(std::to_string(file_bytes_) + " bytes")
                      .Next(kFetchAgain));
    }
    const char* begin = bytes_.data() + at_;
    at_ += size;
    return begin;
  }

  template <class T>
  Result<T> Take() {
    if constexpr (std::is_same_v<T, std::string>) {
      TESSERA_ASSIGN(const auto size, Take<uint64_t>());
      TESSERA_ASSIGN(const char* begin, Take(size));
      return std::string(begin, size);
    } else if constexpr (std::is_same_v<T, bool>) {
      TESSERA_ASSIGN(const auto byte, Take<uint8_t>());
      if (byte > 1) {
        return Fail(Error(ErrorCode::kBadMetadata, "a truth value is neither 0 nor 1")
                        .Found(std::to_string(byte)));
      }
      return byte == 1;
    } else {
      TESSERA_ASSIGN(const char* begin, Take(sizeof(T)));
      T value;
      std::memcpy(&value, begin, sizeof(T));
      return value;
    }
  }

  Result<void> CheckBeginning() {
    TESSERA_ASSIGN(const char* magic, Take(kMagic.size()));
    if (std::string_view(magic, kMagic.size()) != kMagic) {
      return Fail(Error(ErrorCode::kHeaderSyntax, "this is not a GGUF file")
                      .Expected("GGUF in its first four bytes")
                      .Found(QuoteJson(std::string_view(magic, kMagic.size()))));
    }
    TESSERA_ASSIGN(const auto version, Take<uint32_t>());
    if (version == kVersion) return {};
    const bool swapped = (version & 0xFFFF) == 0;
    return Fail(
        Error(ErrorCode::kUnsupported,
              swapped ? "a GGUF file of big-endian numbers" : "a GGUF file of another version")
            .Expected("version 3, little-endian")
            .Found("version " + std::to_string(swapped ? __builtin_bswap32(version) : version) +
                   (swapped ? ", big-endian" : ""))
            .Next("convert the model again with a current converter"));
  }

  Result<void> CheckCount(ErrorCode code, const std::string& what, uint64_t count,
                          uint64_t min_bytes, uint64_t max) const {
    const uint64_t room = std::min(FileBytesLeft() / min_bytes, max);
    if (count <= room) return {};
    return Fail(Error(code, "the header promises too many " + what)
                    .Expected("at most " + std::to_string(room) + " in what is left of the file")
                    .Found(std::to_string(count)));
  }

  Result<void> TakePair() {
    TESSERA_ASSIGN(std::string key, Take<std::string>());
    if (key.empty() || key.size() > kMaxKey || FindNonUtf8(key)) {
      return Fail(Error(ErrorCode::kBadMetadata, "not a key that metadata can have")
                      .Expected("1 to 65535 bytes of UTF-8")
                      .Found(QuoteJson(key.substr(0, kMaxGgufName))));
    }
    TESSERA_ASSIGN(const auto type, Take<uint32_t>());
    auto value = type == kArray ? TakeArray() : TakeScalar(type);
    if (!value) return Fail(std::move(value).error().Fact("key", key));
    header_.metadata.emplace_back(std::move(key), *std::move(value));
    return {};
  }

  Result<GgufValue> TakeScalar(uint32_t type) {
    return WithType<GgufValue>(type, [this]<class T>(T) -> Result<GgufValue> {
      TESSERA_ASSIGN(T value, Take<T>());
      return GgufValue(std::move(value));
    });
  }

  Result<GgufValue> TakeArray() {
    TESSERA_ASSIGN(const auto type, Take<uint32_t>());
    TESSERA_ASSIGN(const auto count, Take<uint64_t>());
    return WithType<GgufValue>(type, [&]<class T>(T) -> Result<GgufValue> {
      const uint64_t size = std::is_same_v<T, std::string> ? kMinString : sizeof(T);
      if (count > FileBytesLeft() / size) {
        return Fail(Error(ErrorCode::kBadMetadata, "an array runs past the end of the file")
                        .Expected("at most " + std::to_string(FileBytesLeft() / size) + " elements")
                        .Found(std::to_string(count))
                        .Next(kFetchAgain));
      }
      // Asked for, not taken: reading on is cheaper than finding the end element by element.
      if (count * size > bytes_.size() - at_) TESSERA_TRY(Take(count * size));
      std::vector<T> values;
      values.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        TESSERA_ASSIGN(T value, Take<T>());
        values.push_back(std::move(value));
      }
      return GgufValue(std::move(values));
    });
  }

  // read(T()) for the type that a file means by `id`; arrays are no such type.
  template <class R, class Read>
  static Result<R> WithType(uint32_t id, const Read& read) {
    switch (id) {
      case 0:
        return read(uint8_t());
      case 1:
        return read(int8_t());
      case 2:
        return read(uint16_t());
      case 3:
        return read(int16_t());
      case 4:
        return read(uint32_t());
      case 5:
        return read(int32_t());
      case 6:
        return read(float());
      case 7:
        return read(bool());
      case 8:
        return read(std::string());
      case 10:
        return read(uint64_t());
      case 11:
        return read(int64_t());
      case 12:
        return read(double());
      default:
        return Fail(Error(ErrorCode::kBadMetadata, id == kArray
                                                       ? "metadata holds an array of arrays"
                                                       : "metadata holds a value of unknown type")
                        .Found("type " + std::to_string(id)));
    }
  }

  Result<void> CheckKeysUnique() const {
    const GgufMetadata& pairs = header_.metadata;
    const auto twice =
        FindRepeated(pairs.size(), [&](size_t i) -> std::string_view { return pairs[i].first; });
    if (!twice) return {};
    return Fail(ErrorCode::kBadMetadata,
                "metadata has the key " + QuoteJson(pairs[twice->second].first) + " twice");
  }

  Result<void> FindAlignment() {
    const GgufValue* value = Find(header_.metadata, "general.alignment");
    if (value == nullptr) return {};
    const auto* alignment = std::get_if<uint32_t>(value);
    if (alignment == nullptr || *alignment < 8 || *alignment > kMaxAlignment ||
        !std::has_single_bit(*alignment)) {
      return Fail(
          Error(ErrorCode::kBadMetadata, "the alignment cannot be used")
              .Fact("key", "general.alignment")
              .Expected("a power of two from 8 to " + std::to_string(kMaxAlignment) + ", as u32")
              .Found(alignment == nullptr ? TypeName(*value) : std::to_string(*alignment)));
    }
    header_.alignment = *alignment;
    return {};
  }

  Result<void> TakeTensor() {
    TESSERA_ASSIGN(std::string name, Take<std::string>());
    if (name.empty() || name.size() > kMaxGgufName || FindNonUtf8(name)) {
      return Fail(Error(ErrorCode::kBadTensorEntry, "not a name that a tensor can have")
                      .Expected("1 to 63 bytes of UTF-8")
                      .Found(QuoteJson(name.substr(0, kMaxGgufName))));
    }
    TESSERA_ASSIGN(const auto rank, Take<uint32_t>());
    if (rank > kMaxGgufRank) {
      return Fail(Error(ErrorCode::kRankTooLarge, "a tensor has too many dimensions")
                      .Of(std::move(name))
                      .Expected("at most 4")
                      .Found(std::to_string(rank)));
    }
    Shape shape(rank);
    // A negative number is far above any dimension: TensorInfo refuses it.
    for (size_t i = rank; i-- > 0;) {
      TESSERA_ASSIGN(shape[i], Take<uint64_t>());
    }
    TESSERA_ASSIGN(const auto id, Take<uint32_t>());
    const std::optional<Dtype> dtype = DtypeOfGgml(id);
    if (!dtype) {
      return Fail(Error(ErrorCode::kUnknownDtype, "a tensor of a type that ggml does not have")
                      .Of(std::move(name))
                      .Found("type " + std::to_string(id)));
    }
    TESSERA_ASSIGN(TensorInfo info, TensorInfo::Make(std::move(name), *dtype, std::move(shape)));
    TESSERA_ASSIGN(const auto begin, Take<uint64_t>());
    return Append(std::move(info), begin);
  }

  // Every byte of the data belongs to one tensor or its padding: nothing can hide, and no file can
  // name more bytes than it has.
  Result<void> Append(TensorInfo info, uint64_t begin) {
    if (begin != end_) {
      return Fail(Error(begin < end_ ? ErrorCode::kOverlap : ErrorCode::kHole,
                        begin < end_ ? "two tensors overlap" : "bytes that belong to no tensor")
                      .Of(info.name())
                      .Expected("a begin of " + std::to_string(end_) +
                                ", where the tensor listed before it ends")
                      .Found(std::to_string(begin)));
    }
    const uint64_t padded = PadTo(info.bytes(), header_.alignment);
    if (__builtin_add_overflow(end_, padded, &end_) || end_ > uint64_t{INT64_MAX}) {
      return Fail(Error(ErrorCode::kSizeOverflow, "the tensors together are too large")
                      .Of(info.name())
                      .Found(info.Describe()));
    }
    last_padding_ = padded - info.bytes();
    header_.entries.push_back({std::move(info), begin});
    return {};
  }

  Result<void> CheckNamesUnique() const {
    const auto& entries = header_.entries;
    const auto twice = FindRepeated(
        entries.size(), [&](size_t i) -> std::string_view { return entries[i].info.name(); });
    if (!twice) return {};
    return Fail(Error(ErrorCode::kDuplicateTensor, "a tensor name appears twice in the header")
                    .Of(entries[twice->second].info.name())
                    .Fact("first", entries[twice->first].info.Describe())
                    .Fact("again", entries[twice->second].info.Describe()));
  }

  Result<void> FindData() {
    // Padding that nothing follows may be left out, here and behind the last tensor.
    const bool nothing_follows = header_.entries.empty() && FileBytesLeft() == 0;
    const uint64_t padding = nothing_follows ? 0 : PadTo(at_, header_.alignment) - at_;
    TESSERA_ASSIGN(const char* zeros, Take(padding));
    if (std::any_of(zeros, zeros + padding, [](char c) { return c != 0; })) {
      return Fail(Error(ErrorCode::kTrailingBytes, "bytes hide between the header and the data")
                      .Expected("zeros from byte " + std::to_string(at_ - padding)));
    }
    header_.data_begin = at_;
    header_.data_bytes = FileBytesLeft();
    if (header_.data_bytes == end_ || header_.data_bytes == end_ - last_padding_) return {};
    const bool trailing = header_.data_bytes > end_;
    return Fail(
        Error(trailing ? ErrorCode::kTrailingBytes : ErrorCode::kTruncated,
              trailing ? "bytes follow the last tensor" : "the file ends before its tensors do")
            .Of(header_.entries.empty() ? "" : header_.entries.back().info.name())
            .Expected(std::to_string(end_) + " bytes after the header")
            .Found(std::to_string(header_.data_bytes) + " bytes")
            .Next(trailing ? "" : kFetchAgain));
  }

  const std::string_view bytes_;
  const uint64_t file_bytes_;
  uint64_t at_ = 0;
  bool wants_more_ = false;
  uint64_t end_ = 0;           // of the tensors listed so far, padding included
  uint64_t last_padding_ = 0;  // of the last of them
  GgufHeader header_;
};

}  // namespace

const GgufValue* Find(const GgufMetadata& metadata, std::string_view key) {
  const auto found = std::ranges::find(metadata, key, &GgufMetadata::value_type::first);
  return found == metadata.end() ? nullptr : &found->second;
}

Result<GgufHeader> ParseGgufHeader(std::string_view beginning, uint64_t file_bytes) {
  return HeaderParser(beginning, file_bytes).Run();
}

Result<GgufHeader> ReadGgufHeader(const File& file, std::string* raw) {
  const std::string path = file.path().string();
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  std::string bytes;
  for (uint64_t size = kFirstRead;; size *= 4) {
    const uint64_t had = bytes.size();
    bytes.resize(std::min({size, identity.size, kMaxGgufHeader}));
    TESSERA_TRY(file.ReadAt(had, std::as_writable_bytes(std::span(bytes)).subspan(had)));
    if (IsLfsPointer(bytes)) return Fail(LfsPointerError().In(path));
    HeaderParser parser(bytes, identity.size);
    Result<GgufHeader> header = parser.Run();
    if (header) {
      bytes.resize(header->data_begin);
      if (raw != nullptr) *raw = std::move(bytes);
      return header;
    }
    if (!parser.wants_more()) return Fail(std::move(header).error().Within(path));
    if (bytes.size() == kMaxGgufHeader) {
      return Fail(Error(ErrorCode::kHeaderTooLarge, "the header is too large")
                      .In(path)
                      .Expected("at most " + std::to_string(kMaxGgufHeader) + " bytes"));
    }
  }
}

}  // namespace tessera
