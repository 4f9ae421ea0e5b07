#include "verify/token_file.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "formats/file.h"
#include "formats/json.h"
#include "formats/safetensors.h"

namespace tessera {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{64} << 20;
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kSeparators = " \t\r\n,";

// Ids as they come in; negative ones and those beyond 64 bits are reported like any other.
class Ids {
 public:
  explicit Ids(uint32_t vocab_size) : vocab_size_(vocab_size) {}

  Result<void> Add(std::string_view text) {
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error == std::errc() && end == text.data() + text.size() && id < vocab_size_) {
      ids_.push_back(id);
      if (ids_.size() <= kMaxTokens) return {};
      return Fail(
          Error(ErrorCode::kUsage, "there are more than " + std::to_string(kMaxTokens) + " ids"));
    }
    return Fail(Error(ErrorCode::kUsage,
                      "position " + std::to_string(ids_.size()) + " holds no id of the vocabulary")
                    .Expected("an integer from 0 to " + std::to_string(vocab_size_ - 1))
                    .Found(std::string(text.substr(0, 40))));
  }

  Result<std::vector<uint32_t>> Take() && {
    if (ids_.empty()) return Fail(ErrorCode::kUsage, "the file holds no token ids");
    return std::move(ids_);
  }

 private:
  uint32_t vocab_size_;
  std::vector<uint32_t> ids_;
};

Result<void> AddText(std::string_view text, Ids& ids) {
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kSeparators), text.size()));
    if (text.empty()) return {};
    const std::string_view id = text.substr(0, text.find_first_of(kSeparators));
    TESSERA_TRY(ids.Add(id));
    text.remove_prefix(id.size());
  }
}

Result<void> AddJson(std::string_view text, Ids& ids) {
  TESSERA_ASSIGN(const Json list, ParseJson(text));
  for (const Json& id : list) TESSERA_TRY(ids.Add(id.dump()));
  return {};
}

template <class T>
Result<void> AddValues(std::span<const std::byte> data, Ids& ids) {
  for (size_t at = 0; at < data.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, data.data() + at, sizeof(T));
    TESSERA_TRY(ids.Add(std::to_string(value)));
  }
  return {};
}

Result<void> AddTensor(Dtype dtype, std::span<const std::byte> data, Ids& ids) {
  switch (dtype) {
    case Dtype::kI64:
      return AddValues<int64_t>(data, ids);
    case Dtype::kU64:
      return AddValues<uint64_t>(data, ids);
    case Dtype::kI32:
      return AddValues<int32_t>(data, ids);
    case Dtype::kU32:
      return AddValues<uint32_t>(data, ids);
    case Dtype::kI16:
      return AddValues<int16_t>(data, ids);
    case Dtype::kU16:
      return AddValues<uint16_t>(data, ids);
    default:
      return Fail(ErrorCode::kUsage, "the tensor is no list of integers");
  }
}

Result<void> AddSafetensors(const File& file, Ids& ids) {
  TESSERA_ASSIGN(const SafetensorsHeader header, ReadSafetensorsHeader(file));
  const auto is_list = [](const Shape& shape) {
    return shape.size() == 1 || (shape.size() == 2 && shape[0] == 1);
  };
  if (header.entries.size() != 1 || !is_list(header.entries[0].info.shape()) ||
      header.entries[0].info.elements() > kMaxTokens) {
    return Fail(
        Error(ErrorCode::kUsage, "the file is no list of token ids")
            .Expected("one integer tensor [n] or [1, n], n at most " + std::to_string(kMaxTokens))
            .Found(header.entries.size() == 1
                       ? header.entries[0].info.Describe()
                       : std::to_string(header.entries.size()) + " tensors"));
  }
  std::vector<std::byte> data(header.entries[0].info.bytes());
  TESSERA_TRY(file.ReadAt(header.data_begin, data));
  return AddTensor(header.entries[0].info.dtype(), data, ids);
}

Result<void> AddFile(const std::filesystem::path& path, Ids& ids) {
  if (path.extension() == ".safetensors") {
    TESSERA_ASSIGN(const File file, File::OpenRead(path));
    return AddSafetensors(file, ids);
  }
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(path, kMaxTextBytes));
  const size_t begin = text.find_first_not_of(kSpace);
  return begin != std::string::npos && text[begin] == '[' ? AddJson(text, ids) : AddText(text, ids);
}

}  // namespace

Result<std::vector<uint32_t>> ReadTokenFile(const std::filesystem::path& path,
                                            uint32_t vocab_size) {
  Ids ids(vocab_size);
  if (Result<void> added = AddFile(path, ids); !added) {
    return Fail(std::move(added).error().Within(path.string()));
  }
  Result<std::vector<uint32_t>> taken = std::move(ids).Take();
  if (!taken) return Fail(std::move(taken).error().Within(path.string()));
  return taken;
}

}  // namespace tessera
