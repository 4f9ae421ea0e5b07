#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <compare>
#include <optional>

#include "formats/json.h"
#include "formats/repeated.h"

namespace tessera {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr std::string_view kMetadataKey = "__metadata__";
// Each pair costs us several times what it costs the file.
constexpr size_t kMaxMetadataPairs = size_t{1} << 16;

// Turns the events of a header into entries, each checked by itself. Where the next value belongs
// is the whole state.
class HeaderEvents final : public JsonEvents {
 public:
  explicit HeaderEvents(SafetensorsHeader& header) : header_(header) {}

  bool OnObject() override {
    switch (at_) {
      case At::kStart:
        return Go(At::kTop);
      case At::kEntryValue:
        seen_dtype_ = seen_shape_ = seen_offsets_ = false;
        return Go(At::kEntry);
      case At::kMetadataValue:
        return Go(At::kMetadata);
      case At::kUnknownValue:
        return ++skipping_, true;
      default:
        return Misplaced("an object");
    }
  }

  bool OnObjectEnd() override {
    switch (at_) {
      case At::kEntry:
        return FinishEntry() && Go(At::kTop);
      case At::kUnknownValue:
        return EndSkipped();
      default:
        return Go(At::kTop);
    }
  }

  bool OnArray() override {
    switch (at_) {
      case At::kShapeValue:
        rank_ = 0;
        return Go(At::kShape);
      case At::kOffsetsValue:
        offset_count_ = 0;
        return Go(At::kOffsets);
      case At::kUnknownValue:
        return ++skipping_, true;
      default:
        return Misplaced("an array");
    }
  }

  bool OnArrayEnd() override {
    if (at_ == At::kUnknownValue) return EndSkipped();
    if (at_ == At::kOffsets && offset_count_ != offsets_.size()) {
      return Stop(Error(ErrorCode::kBadOffsets, "data_offsets are not a pair")
                      .Found(std::to_string(offset_count_) + " numbers"));
    }
    return Go(At::kEntry);
  }

  bool OnKey(std::string&& key) override {
    switch (at_) {
      case At::kTop:
        return key == kMetadataKey ? BeginMetadata() : BeginEntry(key);
      case At::kMetadata:
        header_.metadata.emplace_back(std::move(key), std::string());
        return Go(At::kMetadataText);
      case At::kEntry:
        if (key == "dtype") return BeginField(key, seen_dtype_, At::kDtype);
        if (key == "shape") return BeginField(key, seen_shape_, At::kShapeValue);
        if (key == "data_offsets") return BeginField(key, seen_offsets_, At::kOffsetsValue);
        ++header_.unknown_fields;
        return Go(At::kUnknownValue);
      default:
        return true;  // inside a skipped value
    }
  }

  bool OnString(std::string&& text) override {
    switch (at_) {
      case At::kMetadataText:
        header_.metadata.back().second = std::move(text);
        if (header_.metadata.size() > kMaxMetadataPairs) {
          return Stop(Error(ErrorCode::kJsonTooLarge, "__metadata__ holds too many pairs")
                          .Expected("at most " + std::to_string(kMaxMetadataPairs)));
        }
        return Go(At::kMetadata);
      case At::kDtype:
        if (const auto dtype = ParseSafetensorsDtype(text)) {
          dtype_ = *dtype;
          return Go(At::kEntry);
        }
        return Stop(Error(ErrorCode::kUnknownDtype, "unknown dtype")
                        .Expected("one the format defines, e.g. BF16 or F8_E4M3")
                        .Found(QuoteJson(text)));
      case At::kUnknownValue:
        return EndSkippedScalar();
      default:
        return Misplaced("a string");
    }
  }

  bool OnUnsigned(uint64_t value) override {
    switch (at_) {
      case At::kShape:
        // Stopped here, not in TensorInfo::Make: a header full of dimensions would fill the memory.
        if (rank_ == shape_.size()) {
          return Stop(Error(ErrorCode::kRankTooLarge, "a tensor has too many dimensions")
                          .Expected("at most " + std::to_string(kMaxRank)));
        }
        shape_[rank_++] = value;
        return true;
      case At::kOffsets:
        if (offset_count_ == offsets_.size()) {
          return Stop(Error(ErrorCode::kBadOffsets, "data_offsets are not a pair")
                          .Found("more than two numbers"));
        }
        offsets_[offset_count_++] = value;
        return true;
      case At::kUnknownValue:
        return EndSkippedScalar();
      default:
        return Misplaced("a number");
    }
  }

  bool OnOther(std::string_view kind) override {
    // Real files have it, and it says the same as no metadata.
    if (at_ == At::kMetadataValue && kind == "null") return Go(At::kTop);
    if (at_ == At::kUnknownValue) return EndSkippedScalar();
    return Misplaced(kind);
  }

  std::optional<Error> error;

 private:
  enum class At : uint8_t {
    kStart,
    kTop,
    kMetadataValue,
    kMetadata,
    kMetadataText,
    kEntryValue,
    kEntry,
    kDtype,
    kShapeValue,
    kShape,
    kOffsetsValue,
    kOffsets,
    kUnknownValue,
  };

  bool Go(At next) { return at_ = next, true; }

  bool Stop(Error reason) {
    error = at_ >= At::kEntryValue ? std::move(reason).Of(name_) : std::move(reason);
    return false;
  }

  bool BeginMetadata() {
    if (seen_metadata_) {
      return Stop(Error(ErrorCode::kJsonDuplicateKey, "__metadata__ appears twice in the header"));
    }
    seen_metadata_ = true;
    return Go(At::kMetadataValue);
  }

  bool BeginEntry(std::string_view name) {
    if (header_.entries.size() == kMaxTensorsPerFile) {
      return Stop(Error(ErrorCode::kTooManyTensors, "the header lists too many tensors")
                      .Expected("at most " + std::to_string(kMaxTensorsPerFile)));
    }
    name_ = name;
    return Go(At::kEntryValue);
  }

  bool BeginField(const std::string& field, bool& seen, At next) {
    if (seen) {
      return Stop(
          Error(ErrorCode::kJsonDuplicateKey, "a tensor's entry has its " + field + " twice"));
    }
    seen = true;
    return Go(next);
  }

  bool EndSkipped() { return --skipping_ == 0 ? Go(At::kEntry) : true; }
  bool EndSkippedScalar() { return skipping_ == 0 ? Go(At::kEntry) : true; }

  bool FinishEntry() {
    if (!seen_dtype_ || !seen_shape_ || !seen_offsets_) {
      const char* missing = !seen_dtype_ ? "dtype" : !seen_shape_ ? "shape" : "data_offsets";
      return Stop(
          Error(ErrorCode::kBadTensorEntry, std::string("a tensor's entry has no ") + missing));
    }
    auto info = TensorInfo::Make(std::string(name_), dtype_,
                                 Shape(shape_.begin(), shape_.begin() + static_cast<long>(rank_)));
    if (!info) return Stop(std::move(info).error());
    const auto [begin, end] = offsets_;
    if (end < begin) {
      return Stop(Error(ErrorCode::kBadOffsets, "a tensor ends before it begins").Found(Range()));
    }
    if (end - begin != info->bytes()) {
      return Stop(
          Error(ErrorCode::kSizeMismatch, "a tensor's offsets do not match its dtype and shape")
              .Expected(std::to_string(info->bytes()) + " bytes for " + info->Describe())
              .Found(std::to_string(end - begin) + " bytes, " + Range()));
    }
    header_.entries.push_back({*std::move(info), begin});
    return true;
  }

  std::string Range() const {
    return "data_offsets [" + std::to_string(offsets_[0]) + ", " + std::to_string(offsets_[1]) +
           "]";
  }

  bool Misplaced(std::string_view kind) {
    const auto stop = [&](ErrorCode code, const char* what, const char* expected) {
      return Stop(Error(code, what).Expected(expected).Found(std::string(kind)));
    };
    switch (at_) {
      case At::kMetadataValue:
      case At::kMetadataText:
        return stop(ErrorCode::kMetadataNotStrings, "__metadata__ does not map strings to strings",
                    "an object of strings");
      case At::kEntryValue:
        return stop(ErrorCode::kBadTensorEntry, "a tensor's entry is not an object",
                    "an object with dtype, shape and data_offsets");
      case At::kDtype:
        return stop(ErrorCode::kUnknownDtype, "a tensor's dtype is not a name", "a string");
      case At::kShapeValue:
      case At::kShape:
        return stop(ErrorCode::kBadShape, "a tensor's shape is not a list of whole numbers",
                    "unsigned integers");
      case At::kOffsetsValue:
      case At::kOffsets:
        return stop(ErrorCode::kBadOffsets, "data_offsets are not two whole numbers",
                    "unsigned integers");
      default:
        return stop(ErrorCode::kHeaderNotObject, "the header is not a JSON object", "an object");
    }
  }

  SafetensorsHeader& header_;
  At at_ = At::kStart;
  int skipping_ = 0;  // open objects and arrays of the value being skipped
  bool seen_metadata_ = false, seen_dtype_ = false, seen_shape_ = false, seen_offsets_ = false;
  std::string name_;
  Dtype dtype_ = Dtype::kBool;
  std::array<uint64_t, kMaxRank> shape_;
  size_t rank_ = 0;
  std::array<uint64_t, 2> offsets_;
  size_t offset_count_ = 0;
};

Result<void> CheckNamesUnique(const SafetensorsHeader& header) {
  const auto& entries = header.entries;
  const auto repeated = FindRepeated(
      entries.size(), [&](size_t i) -> std::string_view { return entries[i].info.name(); });
  if (!repeated) {
    const auto& pairs = header.metadata;
    const auto key =
        FindRepeated(pairs.size(), [&](size_t i) -> std::string_view { return pairs[i].first; });
    if (!key) return {};
    return Fail(ErrorCode::kJsonDuplicateKey,
                "__metadata__ has the key " + QuoteJson(pairs[key->second].first) + " twice");
  }
  const auto describe = [&](size_t i) {
    return entries[i].info.Describe() + " at " + std::to_string(entries[i].begin);
  };
  return Fail(Error(ErrorCode::kDuplicateTensor, "a tensor name appears twice in the header")
                  .Of(entries[repeated->second].info.name())
                  .Fact("first", describe(repeated->first))
                  .Fact("again", describe(repeated->second))
                  .Next("readers disagree on which one counts; the file must be written again"));
}

std::string Describe(const SafetensorsEntry& entry) {
  return entry.info.name() + " at [" + std::to_string(entry.begin) + ", " +
         std::to_string(entry.begin + entry.info.bytes()) + "]";
}

// Every byte of the data belongs to exactly one tensor: nothing can hide in a file, and no file can
// name more bytes than it has.
Result<void> CheckLayout(const SafetensorsHeader& header) {
  uint64_t end = 0;
  const SafetensorsEntry* before = nullptr;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.begin != end) {
      const bool overlap = entry.begin < end;
      return Fail(Error(overlap ? ErrorCode::kOverlap : ErrorCode::kHole,
                        overlap ? "two tensors overlap" : "bytes that belong to no tensor")
                      .Of(entry.info.name())
                      .Expected("a begin of " + std::to_string(end))
                      .Fact("before", before ? Describe(*before) : "the start of the data")
                      .Found(Describe(entry)));
    }
    // Cannot wrap: begin + bytes is the entry's own end offset.
    end = entry.begin + entry.info.bytes();
    before = &entry;
  }
  if (end == header.data_bytes) return {};
  const bool trailing = end < header.data_bytes;
  return Fail(
      Error(trailing ? ErrorCode::kTrailingBytes : ErrorCode::kTruncated,
            trailing ? "bytes follow the last tensor" : "the file ends before its tensors do")
          .Of(before ? before->info.name() : "")
          .Expected(std::to_string(end) + " bytes after the header")
          .Found(std::to_string(header.data_bytes) + " bytes")
          .Next(trailing ? "" : "the download is incomplete; fetch the file again"));
}

uint64_t CountUnaligned(const SafetensorsHeader& header) {
  return static_cast<uint64_t>(
      std::ranges::count_if(header.entries, [&](const SafetensorsEntry& entry) {
        const uint64_t size = std::max<uint64_t>(BitsOf(entry.info.dtype()) / 8, 1);
        return entry.info.bytes() != 0 && (header.data_begin + entry.begin) % size != 0;
      }));
}

// Zero-sized tensors come before what begins at the same place, and keep their order otherwise.
void SortByLayout(std::vector<SafetensorsEntry>& entries) {
  struct Key {
    uint64_t begin, bytes;
    size_t place;
    auto operator<=>(const Key&) const = default;
  };
  std::vector<Key> keys;
  keys.reserve(entries.size());
  for (const SafetensorsEntry& e : entries) keys.push_back({e.begin, e.info.bytes(), keys.size()});
  if (std::ranges::is_sorted(keys)) return;
  std::ranges::sort(keys);
  std::vector<SafetensorsEntry> sorted;
  sorted.reserve(entries.size());
  for (const Key& key : keys) sorted.push_back(std::move(entries[key.place]));
  entries = std::move(sorted);
}

}  // namespace

Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json, uint64_t data_bytes) {
  if (json.empty()) return Fail(ErrorCode::kHeaderSyntax, "the header is empty");
  if (const auto bad = FindNonUtf8(json)) {
    return Fail(Error(ErrorCode::kHeaderNotUtf8, "the header is not UTF-8")
                    .Found("a malformed sequence at byte " + std::to_string(*bad)));
  }
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + json.size();
  header.data_bytes = data_bytes;
  HeaderEvents events(header);
  const Result<bool> parsed = ParseJsonEvents(json, events);
  if (!parsed && parsed.error().code() == ErrorCode::kJsonSyntax) {
    return Fail(ErrorCode::kHeaderSyntax, "the header is no valid JSON: " + parsed.error().what());
  }
  if (!parsed) return Fail(parsed.error());
  if (!*parsed) return Fail(*std::move(events.error));
  TESSERA_TRY(CheckNamesUnique(header));
  SortByLayout(header.entries);
  TESSERA_TRY(CheckLayout(header));
  header.unaligned = CountUnaligned(header);
  return header;
}

bool IsLfsPointer(std::string_view beginning) {
  return beginning.starts_with(kLfsPointerBeginning);
}

Error LfsPointerError() {
  return Error(ErrorCode::kLfsPointer, "the file is a Git LFS pointer, not the data it stands for")
      .Next("run `git lfs pull` in its folder, or download the file again");
}

Result<SafetensorsHeader> ReadSafetensorsHeader(const FileContents& file, std::string* raw) {
  const std::string path = file.path().string();
  TESSERA_ASSIGN(const uint64_t size, file.Bytes());
  if (size < kLengthBytes) {
    return Fail(Error(ErrorCode::kHeaderTooSmall, "too short for a safetensors file")
                    .In(path)
                    .Expected("at least 8 bytes")
                    .Found(std::to_string(size) + " bytes")
                    .Next("the download is incomplete; fetch the file again"));
  }
  std::string bytes(std::min<uint64_t>(size, kLfsPointerBeginning.size()), '\0');
  TESSERA_TRY(file.ReadAt(0, std::as_writable_bytes(std::span(bytes))));
  if (IsLfsPointer(bytes)) return Fail(LfsPointerError().In(path));
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | static_cast<uint8_t>(bytes[i]);
  if (length > kMaxSafetensorsHeader) {
    return Fail(Error(ErrorCode::kHeaderTooLarge, "the header is too large")
                    .In(path)
                    .Expected("at most " + std::to_string(kMaxSafetensorsHeader) + " bytes")
                    .Found(std::to_string(length) + " bytes")
                    .Next("most likely this is not a safetensors file"));
  }
  const uint64_t after_length = size - kLengthBytes;
  if (length > after_length) {
    return Fail(Error(ErrorCode::kHeaderPastEnd, "the header runs past the end of the file")
                    .In(path)
                    .Expected(std::to_string(length) + " bytes of header")
                    .Found(std::to_string(after_length) + " bytes")
                    .Next("the download is incomplete; fetch the file again"));
  }
  bytes.resize(kLengthBytes + length);
  TESSERA_TRY(file.ReadAt(0, std::as_writable_bytes(std::span(bytes))));
  auto header =
      ParseSafetensorsHeader(std::string_view(bytes).substr(kLengthBytes), after_length - length);
  if (!header) return Fail(std::move(header).error().Within(path));
  if (raw != nullptr) *raw = std::move(bytes);
  return header;
}

namespace {

Result<void> CheckWritable(std::span<const TensorInfo* const> tensors,
                           const SafetensorsMetadata& metadata) {
  for (const TensorInfo* tensor : tensors) {
    const std::string& name = tensor->name();
    const bool control = std::ranges::any_of(
        name, [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7F; });
    if (control || name == kMetadataKey || FindNonUtf8(name)) {
      return Fail(Error(ErrorCode::kBadTensorEntry, "not a name a tensor can be written under")
                      .Of(name)
                      .Expected("UTF-8 without control characters, and not __metadata__")
                      .Found(QuoteJson(name)));
    }
  }
  const auto block = std::ranges::find_if(
      tensors, [](const TensorInfo* tensor) { return Info(tensor->dtype()).is_block(); });
  if (block != tensors.end()) {
    return Fail(Error(ErrorCode::kUnknownDtype, "safetensors has no such element type")
                    .Of((*block)->name())
                    .Found((*block)->Describe())
                    .Next("GGUF files hold it"));
  }
  if (const auto twice = FindRepeated(
          tensors.size(), [&](size_t i) -> std::string_view { return tensors[i]->name(); })) {
    return Fail(Error(ErrorCode::kDuplicateTensor, "two tensors of one file have the same name")
                    .Of(tensors[twice->second]->name()));
  }
  if (const auto twice = FindRepeated(
          metadata.size(), [&](size_t i) -> std::string_view { return metadata[i].first; })) {
    return Fail(ErrorCode::kJsonDuplicateKey,
                "metadata has the key " + QuoteJson(metadata[twice->second].first) + " twice");
  }
  for (const auto& [key, value] : metadata) {
    if (FindNonUtf8(key) || FindNonUtf8(value)) {
      return Fail(ErrorCode::kHeaderNotUtf8, "the metadata " + QuoteJson(key) + " is not UTF-8");
    }
  }
  return {};
}

}  // namespace

Result<std::string> RenderSafetensorsHeader(std::span<const TensorInfo* const> tensors,
                                            const SafetensorsMetadata& metadata) {
  TESSERA_TRY(CheckWritable(tensors, metadata));
  std::string out(kLengthBytes, '\0');
  out += '{';
  const auto separate = [&out] {
    if (out.back() != '{') out += ',';
  };
  if (!metadata.empty()) {
    out += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      separate();
      out += QuoteJson(key) + ':' + QuoteJson(value);
    }
    out += '}';
  }
  uint64_t begin = 0;
  for (const TensorInfo* tensor : tensors) {
    uint64_t end = 0;
    if (__builtin_add_overflow(begin, tensor->bytes(), &end)) {
      return Fail(Error(ErrorCode::kSizeOverflow, "a file's data would overflow 64 bits")
                      .Of(tensor->name()));
    }
    separate();
    out += QuoteJson(tensor->name()) + ":{\"dtype\":\"" + std::string(Name(tensor->dtype())) +
           "\",\"shape\":[";
    for (size_t i = 0; i < tensor->shape().size(); ++i) {
      if (i != 0) out += ',';
      out += std::to_string(tensor->shape()[i]);
    }
    out += "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]}";
    begin = end;
  }
  out += '}';
  out.resize((out.size() + 7) / 8 * 8, ' ');
  const uint64_t length = out.size() - kLengthBytes;
  if (length > kMaxSafetensorsHeader || tensors.size() > kMaxTensorsPerFile) {
    return Fail(Error(ErrorCode::kHeaderTooLarge, "a header would be too large to be read again")
                    .Expected("at most " + std::to_string(kMaxSafetensorsHeader) + " bytes and " +
                              std::to_string(kMaxTensorsPerFile) + " tensors")
                    .Found(std::to_string(length) + " bytes and " + std::to_string(tensors.size()) +
                           " tensors")
                    .Next("spread the tensors over more files"));
  }
  for (size_t i = 0; i < kLengthBytes; ++i) out[i] = static_cast<char>(length >> (8 * i));
  return out;
}

}  // namespace tessera
