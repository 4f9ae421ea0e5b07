#include "formats/shard_index.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "formats/file.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "formats/shard_name.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexFiles = size_t{1} << 16;

class IndexEvents final : public JsonEvents {
 public:
  explicit IndexEvents(ShardIndex& index) : index_(index) {}

  bool OnObject() override {
    ++depth_;
    if (at_ == At::kStart) return Go(At::kTop);
    if (at_ == At::kWeightMapValue) return Go(At::kWeightMap);
    if (at_ == At::kMetadataValue) return Go(At::kMetadata);
    return Value("an object");
  }
  bool OnObjectEnd() override {
    --depth_;
    if (depth_ == 1) at_ = At::kTop;
    if (depth_ == 2 && at_ == At::kMetadataOther) at_ = At::kMetadata;
    return true;
  }
  bool OnArray() override { return ++depth_, Value("an array"); }
  bool OnArrayEnd() override { return OnObjectEnd(); }

  bool OnKey(std::string&& key) override {
    if (depth_ == 1) {
      if (key == "weight_map") return Once(seen_weight_map, key) && Go(At::kWeightMapValue);
      if (key == "metadata") return Once(seen_metadata_, key) && Go(At::kMetadataValue);
      return Go(At::kOther);
    }
    if (at_ == At::kWeightMap) return BeginEntry(key);
    if (depth_ == 2 &&
        (at_ == At::kMetadata || at_ == At::kTotalSize || at_ == At::kMetadataOther)) {
      if (key == "total_size") return Once(seen_total_size_, key) && Go(At::kTotalSize);
      return Go(At::kMetadataOther);
    }
    return true;
  }

  bool OnString(std::string&& text) override {
    if (at_ != At::kFile) return Value("a string");
    const auto next = static_cast<uint32_t>(file_numbers_.size());
    const auto [place, is_new] = file_numbers_.try_emplace(std::move(text), next);
    if (is_new && file_numbers_.size() > kMaxIndexFiles) {
      return Stop(Error(ErrorCode::kJsonTooLarge, "the index names too many files")
                      .Expected("at most " + std::to_string(kMaxIndexFiles)));
    }
    index_.entries.push_back({std::move(tensor_), place->second});
    return Go(At::kWeightMap);
  }

  bool OnUnsigned(uint64_t value) override {
    if (at_ != At::kTotalSize || depth_ != 2) return Value("a number");
    index_.total_size = value;
    return Go(At::kMetadata);
  }
  bool OnOther(std::string_view kind) override { return Value(kind); }

  // Files were numbered as they came; sorts them and renumbers the entries.
  void SortFiles() {
    std::vector<uint32_t> sorted(file_numbers_.size());
    for (const auto& [name, number] : file_numbers_) {
      sorted[number] = static_cast<uint32_t>(index_.files.size());
      index_.files.push_back(name);
    }
    for (IndexEntry& entry : index_.entries) entry.file = sorted[entry.file];
  }

  bool seen_weight_map = false;
  std::optional<Error> error;

 private:
  enum class At : uint8_t {
    kStart,
    kTop,
    kOther,
    kMetadataValue,
    kMetadata,
    kTotalSize,
    kMetadataOther,
    kWeightMapValue,
    kWeightMap,
    kFile,
  };

  bool Go(At next) { return at_ = next, true; }
  bool Stop(Error reason) { return error = std::move(reason), false; }

  bool Once(bool& seen, const std::string& key) {
    if (seen) return Stop(Error(ErrorCode::kJsonDuplicateKey, "the index has " + key + " twice"));
    return seen = true;
  }

  bool BeginEntry(std::string_view tensor) {
    if (index_.entries.size() == kMaxIndexEntries) {
      return Stop(Error(ErrorCode::kJsonTooLarge, "the index lists too many tensors")
                      .Expected("at most " + std::to_string(kMaxIndexEntries)));
    }
    tensor_ = tensor;
    return Go(At::kFile);
  }

  // A value other than where one is wanted: an error where it stands for something we need.
  bool Value(std::string_view kind) {
    switch (at_) {
      case At::kStart:
        return Wrong("the index is not a JSON object", kind);
      case At::kWeightMapValue:
        return Wrong("weight_map is not an object", kind);
      case At::kFile:
        return Stop(Error(ErrorCode::kIndexSyntax, "a tensor is not mapped to a file name")
                        .Of(tensor_)
                        .Expected("a string")
                        .Found(std::string(kind)));
      case At::kTotalSize:
        index_.odd_total_size = kind;
        return Go(At::kMetadataOther);
      default:
        return true;
    }
  }
  bool Wrong(const char* what, std::string_view kind) {
    return Stop(
        Error(ErrorCode::kIndexSyntax, what).Expected("an object").Found(std::string(kind)));
  }

  ShardIndex& index_;
  At at_ = At::kStart;
  int depth_ = 0;
  bool seen_metadata_ = false, seen_total_size_ = false;
  std::string tensor_;
  std::map<std::string, uint32_t> file_numbers_;
};

Result<ShardIndex> ParseShardIndex(std::string_view text) {
  ShardIndex index;
  IndexEvents events(index);
  const Result<bool> parsed = ParseJsonEvents(text, events);
  if (!parsed && parsed.error().code() == ErrorCode::kJsonSyntax) {
    return Fail(ErrorCode::kIndexSyntax, "the index is no valid JSON: " + parsed.error().what());
  }
  if (!parsed) return Fail(parsed.error());
  if (!*parsed) return Fail(*std::move(events.error));
  if (index.entries.empty()) {
    return Fail(ErrorCode::kIndexSyntax, events.seen_weight_map ? "the index maps no tensor"
                                                                : "the index has no weight_map");
  }
  events.SortFiles();
  std::ranges::sort(index.entries, {}, &IndexEntry::tensor);
  const auto twice = std::ranges::adjacent_find(index.entries, {}, &IndexEntry::tensor);
  if (twice != index.entries.end()) {
    return Fail(Error(ErrorCode::kDuplicateTensor, "the index maps a tensor twice")
                    .Of(twice->tensor)
                    .Found(index.files[twice->file] + " and " + index.files[twice[1].file]));
  }
  return index;
}

// `group`: the names of one prefix, sorted by number.
std::optional<Error> CheckGroup(std::span<const ShardName> group) {
  const std::string& prefix = group[0].prefix;
  const uint64_t total = group[0].count;
  const auto wrong = [&](std::string expected, std::string found) {
    return Error(ErrorCode::kShardNumbering,
                 "the shards " + prefix + "-*-of-*.safetensors are not numbered 1 to N")
        .Expected(std::move(expected))
        .Found(std::move(found))
        .Next("files are missing, left over or from another release; download again");
  };
  for (const ShardName& name : group) {
    if (name.count == total) continue;
    return wrong("one N", "of " + std::to_string(total) + " and of " + std::to_string(name.count));
  }
  for (size_t i = 0; i < group.size(); ++i) {
    if (group[i].number == i + 1) continue;
    const bool twice = i != 0 && group[i].number == group[i - 1].number;
    return wrong("number " + std::to_string(i + 1) + " of " + std::to_string(total),
                 "number " + std::to_string(group[i].number) + (twice ? " twice" : ""));
  }
  if (group.size() == total) return std::nullopt;
  return wrong(std::to_string(total) + " files", std::to_string(group.size()) + " files");
}

}  // namespace

Result<ShardIndex> ReadShardIndex(const fs::path& path) {
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(path, kMaxIndexBytes));
  if (IsLfsPointer(text)) return Fail(LfsPointerError().In(path.string()));
  Result<ShardIndex> index = ParseShardIndex(text);
  if (!index) return Fail(std::move(index).error().Within(path.string()));
  return index;
}

Result<void> CheckShardName(std::string_view name) {
  constexpr size_t kMaxName = 255;  // NAME_MAX
  const bool plain = std::ranges::none_of(name, [](char c) {
    return c == '/' || c == '\\' || static_cast<uint8_t>(c) < 0x20 || c == 0x7F;
  });
  if (plain && !name.empty() && name.size() <= kMaxName && IsShardName(name) &&
      name.front() != '-' && name.front() != '.' && name.find("..") == std::string_view::npos) {
    return {};
  }
  return Fail(
      Error(ErrorCode::kBadFileName, "not a name a shard may have")
          .Expected(
              "one file name in the same folder that ends in .safetensors, or .safetensors.zst")
          .Found(QuoteJson(name.substr(0, kMaxName)))
          .Next("a file name that leads elsewhere is how a hostile index reads other files"));
}

void CheckShardNumbering(std::span<const std::string> names, FaultList& faults) {
  std::vector<ShardName> numbered;
  for (const std::string& name : names) {
    if (const auto parsed = ParseShardName(name)) numbered.push_back(*parsed);
  }
  std::ranges::sort(numbered, [](const ShardName& a, const ShardName& b) {
    return std::tie(a.prefix, a.number, a.count) < std::tie(b.prefix, b.number, b.count);
  });
  for (auto begin = numbered.begin(); begin != numbered.end();) {
    const auto end = std::find_if(
        begin, numbered.end(), [&](const ShardName& name) { return name.prefix != begin->prefix; });
    if (auto fault = CheckGroup(std::span(begin, end))) faults.Add(*std::move(fault));
    begin = end;
  }
}

}  // namespace tessera
