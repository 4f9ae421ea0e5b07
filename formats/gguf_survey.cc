#include "formats/gguf_survey.h"

#include <algorithm>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "formats/gguf.h"
#include "formats/gguf_hf_config.h"
#include "formats/gguf_tensors.h"
#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/page_cache.h"
#include "formats/shard_name.h"
#include "formats/side_files.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".gguf";

bool IsGgufName(std::string_view name) { return name.ends_with(kEnding); }

// NAME-00001-of-00003.gguf, as llama.cpp derives the others' names from the first.
std::optional<ShardName> ParseSplitName(std::string_view name) {
  const std::optional<ShardName> split = ParseShardName(name, kEnding);
  if (!split || ToString(*split, kEnding) != name || split->number_width != 5 ||
      split->count_width != 5 || split->number == 0 || split->number > split->count) {
    return std::nullopt;
  }
  return split;
}

class GgufSurveyor {
 public:
  GgufSurveyor(const CheckpointOptions& options, FaultList& faults)
      : options_(options), faults_(faults) {}

  CheckpointSurvey Run(const fs::path& path) {
    using Stage = void (GgufSurveyor::*)();
    constexpr Stage kStages[] = {&GgufSurveyor::ReadHeaders, &GgufSurveyor::CheckSplit,
                                 &GgufSurveyor::CheckOnceEach, &GgufSurveyor::Understand};
    Locate(path);
    for (const Stage stage : kStages) {
      // Each needs what the one before found.
      if (faults_.empty()) (this->*stage)();
    }
    if (faults_.empty()) survey_.fingerprint = FingerprintOf(survey_, {});
    return std::move(survey_);
  }

 private:
  void Locate(const fs::path& path);
  std::string FindInFolder();
  void NameFiles(const std::string& first);
  void ReadHeaders();
  void ReadFile(uint32_t number);
  void CheckSplit();
  void CheckOnceEach();
  void Understand();
  Result<ModelSpec> UnderstandConfig();
  GgufContents Contents() const;

  fs::path PathOf(size_t file) const { return survey_.dir / survey_.shards[file].name; }

  const CheckpointOptions& options_;
  FaultList& faults_;
  CheckpointSurvey survey_;
  std::vector<GgufMetadata> metadata_;  // by file
  uint64_t header_bytes_ = 0;
};

void GgufSurveyor::Locate(const fs::path& path) {
  std::error_code ignored;
  std::string first = path.filename().string();
  if (fs::is_directory(path, ignored)) {
    survey_.dir = path;
    first = FindInFolder();
  } else {
    survey_.dir = path.has_parent_path() ? path.parent_path() : fs::path(".");
  }
  if (faults_.empty()) NameFiles(first);
}

// The folder's one model, by its first file.
std::string GgufSurveyor::FindInFolder() {
  auto listing = ListFolder(survey_.dir);
  if (!listing) return faults_.Add(std::move(listing).error()), "";
  std::erase_if(*listing, [](const std::string& name) { return !IsGgufName(name); });
  if (listing->empty()) {
    faults_.Add(Error(ErrorCode::kNotFound, "no GGUF file in the folder").In(survey_.dir.string()));
    return "";
  }
  const std::string& first = listing->front();
  for (const std::string& name : *listing) {
    const auto a = ParseSplitName(first), b = ParseSplitName(name);
    if (name == first || (a && b && a->prefix == b->prefix && a->count == b->count)) continue;
    faults_.Add(Error(ErrorCode::kUnsupported, "the folder holds more than one GGUF model")
                    .In(survey_.dir.string())
                    .Found(first + " and " + name)
                    .Next("give the path of the file that is meant, of split files the first"));
    return "";
  }
  std::optional<ShardName> split = ParseSplitName(first);
  if (!split) return first;
  split->number = 1;
  return ToString(*split, kEnding);
}

void GgufSurveyor::NameFiles(const std::string& first) {
  std::optional<ShardName> split = ParseSplitName(first);
  if (split && split->number != 1) {
    split->number = 1;
    return faults_.Add(
        Error(ErrorCode::kUnsupported, "not the first of its split files")
            .In((survey_.dir / first).string())
            .Next("the first one leads to the others: give " + ToString(*split, kEnding)));
  }
  const uint64_t count = split ? split->count : 1;
  for (uint64_t number = 1; number <= count && !faults_.full(); ++number) {
    if (split) split->number = number;
    std::string name = split ? ToString(*split, kEnding) : first;
    if (std::error_code error; !fs::exists(fs::status(survey_.dir / name, error))) {
      faults_.Add(Error(number == 1 ? ErrorCode::kNotFound : ErrorCode::kMissingShard,
                        number == 1 ? "no such file" : "one of the split files is missing")
                      .In((survey_.dir / name).string())
                      .Next(number == 1 ? "" : "the download is incomplete; fetch the file again"));
    }
    survey_.shards.push_back({std::move(name), {}, 0, {}, {}, 0});
  }
  survey_.config_path = survey_.dir / first;
}

void GgufSurveyor::ReadHeaders() {
  for (uint32_t i = 0; i < survey_.shards.size() && !faults_.full(); ++i) ReadFile(i);
}

void GgufSurveyor::ReadFile(uint32_t number) {
  Shard& shard = survey_.shards[number];
  const auto file = File::OpenRead(PathOf(number));
  if (!file) return faults_.Add(file.error());
  ReadNothingAhead(*file);
  const auto identity = file->Identity();
  if (!identity) return faults_.Add(identity.error());
  std::string raw;
  auto header = ReadGgufHeader(*file, &raw);
  if (!header) return faults_.Add(std::move(header).error());
  if (auto fault = AddHeaderBytes(header_bytes_, raw.size(), PathOf(number))) {
    return faults_.Add(*std::move(fault));
  }
  shard.identity = *identity;
  shard.data_begin = header->data_begin;
  shard.header = Xxh3(raw);
  shard.tensors = static_cast<uint32_t>(header->entries.size());
  const auto samples = SampleData(*file, header->data_begin, identity->size);
  if (!samples) return faults_.Add(samples.error());
  shard.samples = *samples;
  for (GgufEntry& entry : header->entries) {
    if (__builtin_add_overflow(survey_.payload_bytes, entry.info.bytes(), &survey_.payload_bytes)) {
      return faults_.Add(Error(ErrorCode::kSizeOverflow, "the tensors together overflow 64 bits")
                             .In(file->path().string()));
    }
    survey_.tensors.push_back({std::move(entry.info), number, header->data_begin + entry.begin});
  }
  if (header->alignment != kGgufAlignment) {
    survey_.findings.push_back({.rule = "gguf-alignment",
                                .severity = Severity::kWarning,
                                .tensor = "",
                                .file = shard.name,
                                .what = "tensors are aligned to " +
                                        std::to_string(header->alignment) +
                                        " bytes: llama.cpp's tools damage such files",
                                .remedy = "convert the model again with an alignment of 32"});
  }
  metadata_.push_back(std::move(header->metadata));
}

// llama.cpp's loader wants exactly these types.
void GgufSurveyor::CheckSplit() {
  const uint64_t files = survey_.shards.size(), tensors = survey_.tensors.size();
  for (size_t i = 0; i < files && !faults_.full(); ++i) {
    const auto number = [&](const char* key, uint64_t expected, const auto* found) {
      if (found != nullptr && std::cmp_equal(*found, expected)) return;
      const GgufValue* value = Find(metadata_[i], key);
      faults_.Add(Error(ErrorCode::kShardNumbering, "a split file is not the one its name says")
                      .In(PathOf(i).string())
                      .Fact("key", key)
                      .Expected(std::to_string(expected))
                      .Found(value == nullptr   ? "no such key"
                             : found == nullptr ? TypeName(*value)
                                                : std::to_string(*found))
                      .Next("the files are of different models, or one was renamed"));
    };
    const GgufValue* count = Find(metadata_[i], "split.count");
    // A merged file says 0.
    if (files == 1 && (count == nullptr || *count == GgufValue(uint16_t{0}))) return;
    number("split.count", files, FindValue<uint16_t>(metadata_[i], "split.count"));
    number("split.no", i, FindValue<uint16_t>(metadata_[i], "split.no"));
    number("split.tensors.count", tensors, FindValue<int32_t>(metadata_[i], "split.tensors.count"));
  }
}

void GgufSurveyor::CheckOnceEach() {
  std::ranges::sort(survey_.tensors, {},
                    [](const TensorExtent& t) -> const std::string& { return t.info.name(); });
  const auto twice = std::ranges::adjacent_find(
      survey_.tensors, {},
      [](const TensorExtent& t) -> const std::string& { return t.info.name(); });
  if (twice == survey_.tensors.end()) return;
  faults_.Add(Error(ErrorCode::kTensorInTwoShards, "a tensor is in two of the split files")
                  .Of(twice->info.name())
                  .Found(survey_.shards[twice->shard].name + " and " +
                         survey_.shards[twice[1].shard].name));
}

void GgufSurveyor::Understand() {
  survey_.gguf = std::move(metadata_.front());
  if (auto supported = CheckGgufArchitecture(*survey_.gguf); !supported) {
    survey_.no_config = std::move(supported).error().Within(survey_.config_path.string());
    return;
  }
  const Result<ModelSpec> spec = UnderstandConfig();
  if (!spec) return faults_.Add(spec.error());
  survey_.tensors = HfTensorsOfGguf(*spec, survey_.tensors, survey_.shards, faults_);
}

Result<ModelSpec> GgufSurveyor::UnderstandConfig() {
  if (options_.config) {
    survey_.config_path = *options_.config;
    TESSERA_ASSIGN(survey_.config_text, ReadWholeFile(*options_.config, kMaxConfigBytes));
  } else {
    Result<Json> config = HfConfigOfGguf(*survey_.gguf, Contents());
    if (!config) return Fail(std::move(config).error().Within(survey_.config_path.string()));
    survey_.config_text = RenderJson(*config);
  }
  const auto understand = [&]() -> Result<ModelSpec> {
    TESSERA_ASSIGN(const Json config, ParseJson(*survey_.config_text));
    return ModelSpec::FromConfig(config);
  };
  Result<ModelSpec> spec = understand();
  if (!spec) return Fail(std::move(spec).error().Within(survey_.config_path.string()));
  return spec;
}

GgufContents GgufSurveyor::Contents() const {
  GgufContents contents;
  for (const TensorExtent& tensor : survey_.tensors) {
    if (tensor.info.name() != "token_embd.weight" || tensor.info.shape().empty()) continue;
    contents.vocabulary = tensor.info.shape()[0];
    contents.embedding = tensor.info.dtype();
  }
  return contents;
}

}  // namespace

bool LeadsToGguf(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return IsGgufName(path.filename().string());
  const auto listing = ListFolder(path);
  return listing && std::ranges::any_of(*listing, IsGgufName) &&
         std::ranges::none_of(*listing, [](const std::string& name) { return IsShardName(name); });
}

CheckpointSurvey SurveyGguf(const fs::path& path, const CheckpointOptions& options,
                            FaultList& faults) {
  return GgufSurveyor(options, faults).Run(path);
}

}  // namespace tessera
