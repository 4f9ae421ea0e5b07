#include "formats/checkpoint_survey.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <system_error>

#include "formats/demo_config.h"
#include "formats/gguf_survey.h"
#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/page_cache.h"
#include "formats/safetensors.h"
#include "formats/shard_index.h"
#include "formats/shard_name.h"
#include "formats/side_files.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

// A hundred times what the largest releases have.
constexpr uint64_t kMaxHeaderBytesTogether = uint64_t{1} << 30;

bool IsForeignWeights(std::string_view name) {
  const auto is = [&](std::string_view begin, std::string_view end) {
    return name.starts_with(begin) && name.ends_with(end);
  };
  return is("pytorch_model", ".bin") || is("pytorch_model", ".bin.index.json") ||
         is("consolidated", ".pth") || is("", ".gguf") || is("", ".ckpt");
}

// Of a compressed shard. What is none is told by what it is instead.
Result<ZstdFrames> ReadFrames(const File& file) {
  Result<ZstdFrames> frames = ZstdFrames::Read(file);
  if (frames) return frames;
  const auto header = ReadSafetensorsHeader(file);
  if (!header && header.error().code() != ErrorCode::kLfsPointer) return frames;
  if (!header) return Fail(header.error());
  return Fail(Error(ErrorCode::kUnsupported, "the file is not compressed, as its name says")
                  .In(file.path().string())
                  .Next("rename it: without " + std::string(kZstdEnding)));
}

class Surveyor {
 public:
  Surveyor(const CheckpointOptions& options, FaultList& faults)
      : options_(options), faults_(faults) {}

  CheckpointSurvey Run(const fs::path& path) {
    using Stage = void (Surveyor::*)();
    constexpr Stage kStages[] = {
        &Surveyor::ReadIndex,     &Surveyor::CheckShardSet, &Surveyor::ReadHeaders,
        &Surveyor::Match,         &Surveyor::ReadConfig,    &Surveyor::Assemble,
        &Surveyor::ReadSideFiles, &Surveyor::AddFindings,   &Surveyor::TakeFingerprint,
    };
    if (Locate(path)) {
      for (const Stage stage : kStages) {
        if (!faults_.full()) (this->*stage)();
      }
    }
    return std::move(survey_);
  }

 private:
  bool Locate(const fs::path& path);
  void ReadIndex();
  void FindIndex();
  void FindOtherForms();
  std::vector<std::string> ShardsInListing() const;
  void NameShards(std::vector<std::string> names);
  void CheckShardSet();
  void CheckForeign();
  void ReadHeaders();
  void ReadShard(uint32_t number);
  void Match();
  void MatchTensor(std::span<const TensorExtent> holders, const IndexEntry* entry);
  void ReadConfig();
  void Assemble();
  Result<ModelSpec> UnderstandConfig();
  DemoContents Contents() const;
  void ReadSideFiles();
  void AddFindings();
  void AddTotalSizeFinding();
  void TakeFingerprint() { survey_.fingerprint = FingerprintOf(survey_, side_files_); }

  bool OnDisk(std::string_view name) const { return std::ranges::binary_search(listing_, name); }
  fs::path InDir(std::string_view name) const { return survey_.dir / name; }

  const CheckpointOptions& options_;
  FaultList& faults_;
  CheckpointSurvey survey_;
  bool one_file_ = false;             // the path names one .safetensors file
  fs::path index_path_;               // empty: none
  std::vector<std::string> listing_;  // of the folder, sorted
  std::optional<ShardIndex> index_;
  std::vector<bool> absent_, read_;  // by shard
  bool ranked_ = false;              // the shards are the files of model-parallel ranks
  std::vector<uint32_t> rank_of_;    // by shard
  uint64_t header_bytes_ = 0, unaligned_ = 0, unknown_fields_ = 0;
  std::string first_unaligned_, first_unknown_field_;  // files
  std::vector<std::string> without_format_;
  std::vector<SideFile> side_files_;
};

bool Surveyor::Locate(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    faults_.Add(Error(ErrorCode::kNotFound, "no such file or folder").In(path.string()));
    return false;
  }
  const std::string name = path.filename().string();
  if (fs::is_directory(status)) {
    survey_.dir = path;
  } else {
    survey_.dir = path.has_parent_path() ? path.parent_path() : fs::path(".");
    one_file_ = IsShardName(name);
    if (!one_file_ && !name.ends_with(".index.json")) {
      faults_.Add(Error(ErrorCode::kUnsupported, "not a checkpoint")
                      .In(path.string())
                      .Expected("a folder, a *.index.json, a *.safetensors or a *.gguf file"));
      return false;
    }
    if (!one_file_) index_path_ = path;
  }
  if (one_file_) {
    NameShards({name});
    return true;
  }
  auto listing = ListFolder(survey_.dir);
  if (!listing) return faults_.Add(std::move(listing).error()), false;
  listing_ = *std::move(listing);
  return true;
}

void Surveyor::NameShards(std::vector<std::string> names) {
  for (std::string& name : names) {
    survey_.shards.push_back({std::move(name), {}, 0, {}, {}, 0});
  }
  survey_.frames.resize(survey_.shards.size());
  absent_.resize(survey_.shards.size());
  read_.resize(survey_.shards.size());
}

void Surveyor::ReadIndex() {
  if (one_file_) return;
  if (index_path_.empty()) FindIndex();
  if (!index_path_.empty() && faults_.empty()) {
    if (auto index = ReadShardIndex(index_path_)) {
      index_ = *std::move(index);
      FindOtherForms();
      return NameShards(index_->files);
    } else {
      faults_.Add(std::move(index).error());
    }
  }
  NameShards(ShardsInListing());
  ranked_ = index_path_.empty() && std::ranges::any_of(survey_.shards, [](const Shard& shard) {
              return ParseRankShardName(shard.name).has_value();
            });
}

void Surveyor::FindIndex() {
  std::vector<std::string> found;
  std::ranges::copy_if(listing_, std::back_inserter(found), [](std::string_view name) {
    return name.ends_with(".safetensors.index.json");
  });
  if (found.empty()) return;
  index_path_ = InDir(found[0]);
  if (found.size() == 1) return;
  faults_.Add(Error(ErrorCode::kUnsupported, "the folder has more than one index")
                  .In(survey_.dir.string())
                  .Found(found[0] + " and " + found[1])
                  .Next("give the path of the index that is meant"));
}

// A shard that is not there as the index names it may be there compressed, or unpacked.
void Surveyor::FindOtherForms() {
  for (std::string& name : index_->files) {
    if (OnDisk(name) || !IsShardName(name)) continue;
    std::string other =
        IsCompressed(name) ? std::string(Uncompressed(name)) : name + std::string(kZstdEnding);
    if (OnDisk(other)) name = std::move(other);
  }
}

std::vector<std::string> Surveyor::ShardsInListing() const {
  std::vector<std::string> names;
  std::ranges::copy_if(listing_, std::back_inserter(names), IsShardName);
  return names;
}

void Surveyor::CheckShardSet() {
  if (one_file_) return;
  CheckForeign();
  if (ranked_) {
    rank_of_ = NumberRanks(survey_.shards, survey_.dir, faults_);
    return;
  }
  const auto& shards = survey_.shards;
  std::vector<std::string> names;
  for (size_t i = 0; i < shards.size(); ++i) {
    names.push_back(shards[i].name);
    if (auto checked = CheckShardName(shards[i].name); !checked) {
      absent_[i] = true;
      faults_.Add(std::move(checked).error().Within((index_ ? index_path_ : survey_.dir).string()));
    } else if (std::error_code error; !fs::exists(fs::status(InDir(shards[i].name), error))) {
      absent_[i] = true;
      faults_.Add(Error(ErrorCode::kMissingShard, OnDisk(shards[i].name)
                                                      ? "a shard is a link that leads nowhere"
                                                      : "a shard that the index names is missing")
                      .In(InDir(shards[i].name).string())
                      .Next("the download is incomplete; fetch the file again"));
    }
  }
  std::ranges::sort(names);
  if (index_) {
    for (const std::string& name : listing_) {
      if (!IsShardName(name) || std::ranges::binary_search(names, name)) continue;
      faults_.Add(Error(ErrorCode::kExtraShard, "a safetensors file that the index does not name")
                      .In(InDir(name).string())
                      .Next("it may be left over from another release: move it away"));
    }
  } else if (index_path_.empty() && shards.size() > 1 && !options_.allow_no_index) {
    faults_.Add(Error(ErrorCode::kNoIndex, "several shards and no index")
                    .In(survey_.dir.string())
                    .Expected("model.safetensors.index.json")
                    .Found(std::to_string(shards.size()) + " *.safetensors files")
                    .Next("download the index, or take all the files with --no-index"));
  }
  CheckShardNumbering(names, faults_);
}

void Surveyor::CheckForeign() {
  for (const std::string& name : listing_) {
    if (IsForeignWeights(name)) {
      faults_.Add(Error(ErrorCode::kForeignWeights, "weights in another format in the folder")
                      .In(InDir(name).string())
                      .Expected("weights as safetensors files only")
                      .Next("a loader may prefer them to the safetensors files: move them away"));
    }
  }
  if (survey_.shards.empty() && faults_.empty()) {
    faults_.Add(
        Error(ErrorCode::kNotFound, "no safetensors file in the folder").In(survey_.dir.string()));
  }
}

void Surveyor::ReadHeaders() {
  for (uint32_t i = 0; i < survey_.shards.size() && !faults_.full(); ++i) {
    if (!absent_[i]) ReadShard(i);
  }
  std::ranges::sort(survey_.tensors, [](const TensorExtent& a, const TensorExtent& b) {
    const int order = a.info.name().compare(b.info.name());
    return order != 0 ? order < 0 : a.shard < b.shard;
  });
}

void Surveyor::ReadShard(uint32_t number) {
  Shard& shard = survey_.shards[number];
  const auto file = File::OpenRead(InDir(shard.name));
  if (!file) return faults_.Add(file.error());
  ReadNothingAhead(*file);
  const auto identity = file->Identity();
  if (!identity) return faults_.Add(identity.error());
  std::optional<ZstdFrames>& frames = survey_.frames[number];
  if (IsCompressed(shard.name)) {
    auto read = ReadFrames(*file);
    if (!read) return faults_.Add(std::move(read).error());
    frames = *std::move(read);
  }
  const FileContents contents(*file, frames ? &*frames : nullptr);
  std::string raw;
  auto header = ReadSafetensorsHeader(contents, &raw);
  if (!header) return faults_.Add(std::move(header).error());
  if (auto fault = AddHeaderBytes(header_bytes_, raw.size(), file->path())) {
    return faults_.Add(*std::move(fault));
  }
  shard.identity = *identity;
  shard.data_begin = header->data_begin;
  shard.header = Xxh3(raw);
  shard.tensors = static_cast<uint32_t>(header->entries.size());
  const auto samples =
      SampleData(contents, header->data_begin, header->data_begin + header->data_bytes);
  if (!samples) return faults_.Add(samples.error());
  shard.samples = *samples;
  read_[number] = true;
  for (SafetensorsEntry& entry : header->entries) {
    // One file's sum is bounded by its size; sparse files together can pass 64 bits.
    if (__builtin_add_overflow(survey_.payload_bytes, entry.info.bytes(), &survey_.payload_bytes)) {
      return faults_.Add(Error(ErrorCode::kSizeOverflow, "the tensors together overflow 64 bits")
                             .In(file->path().string()));
    }
    survey_.tensors.push_back({std::move(entry.info), number, header->data_begin + entry.begin});
  }
  if (header->unaligned != 0 && unaligned_ == 0) first_unaligned_ = shard.name;
  if (header->unknown_fields != 0 && unknown_fields_ == 0) first_unknown_field_ = shard.name;
  unaligned_ += header->unaligned;
  unknown_fields_ += header->unknown_fields;
  const std::pair<std::string, std::string> format("format", "pt");
  if (std::ranges::find(header->metadata, format) == header->metadata.end()) {
    without_format_.push_back(shard.name);
  }
}

// Both sides are sorted by name, so one pass meets every name of either.
void Surveyor::Match() {
  if (ranked_) return;
  const std::vector<TensorExtent>& tensors = survey_.tensors;
  size_t at = 0, in_index = 0;
  const size_t entries = index_ ? index_->entries.size() : 0;
  while ((at < tensors.size() || in_index < entries) && !faults_.full()) {
    const IndexEntry* entry = in_index < entries ? &index_->entries[in_index] : nullptr;
    const bool held = at < tensors.size() && (!entry || tensors[at].info.name() <= entry->tensor);
    size_t end = at;
    while (held && end < tensors.size() && tensors[end].info.name() == tensors[at].info.name()) {
      ++end;
    }
    if (held && entry && entry->tensor != tensors[at].info.name()) entry = nullptr;
    MatchTensor(std::span(tensors).subspan(at, end - at), entry);
    at = end;
    if (entry) ++in_index;
  }
}

void Surveyor::MatchTensor(std::span<const TensorExtent> holders, const IndexEntry* entry) {
  const auto name_of = [&](const TensorExtent& t) { return survey_.shards[t.shard].name; };
  if (holders.size() > 1) {
    return faults_.Add(Error(ErrorCode::kTensorInTwoShards, "a tensor is in two shards")
                           .Of(holders[0].info.name())
                           .Found(name_of(holders[0]) + " and " + name_of(holders[1])));
  }
  if (entry && (holders.empty() || holders[0].shard != entry->file) && read_[entry->file]) {
    return faults_.Add(
        Error(ErrorCode::kTensorNotInShard, "a shard lacks a tensor that the index maps to it")
            .Of(entry->tensor)
            .Expected("in " + survey_.shards[entry->file].name)
            .Found(holders.empty() ? "in no shard" : "in " + name_of(holders[0])));
  }
  if (holders.empty() || !index_ || (entry && holders[0].shard == entry->file)) return;
  faults_.Add(
      Error(ErrorCode::kTensorNotInIndex,
            "a shard holds a tensor that the index does not "
            "map to it")
          .Of(holders[0].info.name())
          .Expected(entry ? "in " + survey_.shards[entry->file].name : "a line in the index")
          .Found("in " + name_of(holders[0])));
}

void Surveyor::ReadConfig() {
  survey_.config_path = options_.config.value_or(InDir("config.json"));
  const fs::path& path = survey_.config_path;
  std::error_code error;
  if (!options_.config && !fs::exists(fs::symlink_status(path, error))) return;
  auto text = ReadWholeFile(path, kMaxConfigBytes);
  if (!text) return faults_.Add(std::move(text).error());
  if (IsLfsPointer(*text)) return faults_.Add(LfsPointerError().In(path.string()));
  survey_.config_text = *std::move(text);
}

void Surveyor::Assemble() {
  // After a fault, that a file is missing say, the tensors would only repeat it.
  if (!ranked_ || !faults_.empty()) return;
  const Result<ModelSpec> spec = UnderstandConfig();
  if (!spec) return faults_.Add(spec.error());
  RankAssembly whole = AssembleRanks(*spec, survey_.tensors, survey_.shards, rank_of_, faults_);
  survey_.tensors = std::move(whole.tensors);
  survey_.joins = std::move(whole.joins);
  survey_.payload_bytes = 0;
  for (const TensorExtent& tensor : survey_.tensors) {
    survey_.payload_bytes += tensor.info.bytes();
  }
}

// Makes config_text a Hugging Face config that is true of these files.
Result<ModelSpec> Surveyor::UnderstandConfig() {
  if (!survey_.config_text) {
    return Fail(Error(ErrorCode::kNoConfig, "there is no config.json beside the rank files")
                    .In(survey_.dir.string())
                    .Expected("the demo's config.json, or the model's Hugging Face one")
                    .Next("without it the model is unknown: give one with --config FILE"));
  }
  const auto understand = [&]() -> Result<ModelSpec> {
    TESSERA_ASSIGN(Json config, ParseJson(*survey_.config_text));
    const DemoContents contents = Contents();
    const bool is_hf = config.is_object() && config.contains("model_type");
    // The model's own config promises the MTP module, which conversion for ranks leaves out.
    const bool lacks_mtp =
        is_hf && contents.mtp_layers == 0 && config.value("num_nextn_predict_layers", Json(0)) != 0;
    if (!is_hf) {
      TESSERA_ASSIGN(config, HfConfig(config, contents));
    }
    if (lacks_mtp) config["num_nextn_predict_layers"] = 0;
    if (!is_hf || lacks_mtp) survey_.config_text = RenderJson(config);
    return ModelSpec::FromConfig(config);
  };
  Result<ModelSpec> spec = understand();
  if (!spec) return Fail(std::move(spec).error().Within(survey_.config_path.string()));
  return spec;
}

DemoContents Surveyor::Contents() const {
  DemoContents contents;
  std::string_view layer;
  for (const TensorExtent& tensor : survey_.tensors) {
    const std::string_view name = tensor.info.name();
    if (name.find(".indexer.") != std::string_view::npos) contents.indexer = true;
    if (name == "embed.weight" && tensor.info.dtype() == Dtype::kF16) {
      contents.torch_dtype = "float16";
    }
    if (name == "embed.weight" && tensor.info.dtype() == Dtype::kF32) {
      contents.torch_dtype = "float32";
    }
    if (!name.starts_with("mtp.")) continue;
    // By name, so that a layer's tensors are neighbours.
    const std::string_view number = name.substr(0, name.find('.', 4));
    if (number != layer) ++contents.mtp_layers;
    layer = number;
  }
  return contents;
}

void Surveyor::ReadSideFiles() {
  // A lone file in a folder without config.json: the folder is no model's, but perhaps a home.
  if (one_file_ && !survey_.config_text) return;
  side_files_ = ListSideFiles(survey_.dir, faults_);
  for (const SideFile& file : side_files_) survey_.side_files.push_back(file.path);
}

void Surveyor::AddTotalSizeFinding() {
  if (!index_) return;
  std::string stated;
  if (index_->total_size && *index_->total_size != survey_.payload_bytes) {
    stated = std::to_string(*index_->total_size);
  } else if (!index_->odd_total_size.empty()) {
    stated = index_->odd_total_size;
  }
  if (stated.empty()) return;
  survey_.findings.push_back({.rule = "total-size",
                              .severity = Severity::kWarning,
                              .tensor = "",
                              .file = index_path_.filename().string(),
                              .what = "metadata.total_size is " + stated +
                                      ", the tensors add up to " +
                                      std::to_string(survey_.payload_bytes) + " bytes",
                              .remedy = "none needed: converted checkpoints get the true number"});
}

void Surveyor::AddFindings() {
  AddTotalSizeFinding();
  const auto add = [&](const char* rule, Severity severity, const std::string& file,
                       std::string what, const char* remedy) {
    survey_.findings.push_back({rule, severity, "", file, std::move(what), remedy});
  };
  if (unknown_fields_ != 0) {
    add("unknown-field", Severity::kWarning, first_unknown_field_,
        std::to_string(unknown_fields_) +
            " header fields beside dtype, shape and data_offsets; they are ignored",
        "find out what wrote them: a newer format may mean something by them");
  }
  if (unaligned_ != 0) {
    add("unaligned", Severity::kNote, first_unaligned_,
        std::to_string(unaligned_) + " of " + std::to_string(survey_.tensors.size()) +
            " tensors do not begin at a multiple of their element size",
        "none needed: converted checkpoints have padded headers");
  }
  // The demo's files never have it.
  if (!without_format_.empty() && !ranked_) {
    add("no-format", Severity::kNote, without_format_[0],
        std::to_string(without_format_.size()) + " of " + std::to_string(survey_.shards.size()) +
            " files lack the metadata format: pt, which some loaders ask for",
        "");
  }
}

}  // namespace

Result<Digest> SampleData(const FileContents& file, uint64_t begin, uint64_t end) {
  constexpr uint64_t kSample = 4096;
  std::array<std::byte, kSample> buffer;
  const uint64_t size = std::min(kSample, end - begin);
  Xxh3Stream hash;
  for (const uint64_t at : {begin, begin + (end - begin - size) / 2, end - size}) {
    const auto sample = std::span(buffer).first(size);
    TESSERA_TRY(file.ReadAt(at, sample));
    hash.Update(sample);
  }
  return hash.Finish();
}

std::optional<Error> AddHeaderBytes(uint64_t& sum, uint64_t bytes, const fs::path& file) {
  sum += bytes;
  if (sum <= kMaxHeaderBytesTogether) return std::nullopt;
  return Error(ErrorCode::kHeaderTooLarge, "the shards' headers are too large")
      .In(file.string())
      .Expected("at most 1 GiB together");
}

Digest FingerprintOf(const CheckpointSurvey& survey, std::span<const SideFile> side_files) {
  Xxh3Stream digest;
  const auto add = [&](std::string_view text) {
    digest.Update(uint64_t{text.size()});
    digest.Update(text);
  };
  digest.Update(uint64_t{survey.shards.size()});
  for (const Shard& shard : survey.shards) {
    add(shard.name);
    digest.Update(shard.identity.size);
    digest.Update(std::span<const std::byte>(shard.header.bytes));
    digest.Update(std::span<const std::byte>(shard.samples.bytes));
  }
  digest.Update(uint64_t{survey.config_text.has_value()});
  add(survey.config_text.value_or(""));
  digest.Update(uint64_t{side_files.size()});
  for (const SideFile& file : side_files) {
    add(file.path);
    digest.Update(file.size);
  }
  return digest.Finish();
}

CheckpointSurvey SurveyCheckpoint(const fs::path& path, const CheckpointOptions& options,
                                  FaultList& faults) {
  return LeadsToGguf(path) ? SurveyGguf(path, options, faults)
                           : Surveyor(options, faults).Run(path);
}

}  // namespace tessera
