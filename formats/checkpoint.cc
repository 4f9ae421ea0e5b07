#include "formats/checkpoint.h"

#include <algorithm>
#include <utility>

#include "formats/checkpoint_survey.h"
#include "formats/rank_reader.h"
#include "formats/shard_files.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

std::string Describe(const FileIdentity& identity) {
  return std::to_string(identity.size) + " bytes, inode " + std::to_string(identity.inode) +
         ", modified at " + std::to_string(identity.mtime_ns) + " ns";
}

// Opens a shard by its path and checks that the path still leads to the file first seen.
Result<File> OpenUnchanged(const fs::path& path, const FileIdentity& seen) {
  const auto changed = [&](std::string found) {
    return Fail(Error(ErrorCode::kInputChanged, "a file of the checkpoint changed while in use")
                    .In(path.string())
                    .Expected(Describe(seen))
                    .Found(std::move(found))
                    .Next("start again once nothing writes to the checkpoint"));
  };
  auto file = File::OpenRead(path);
  if (!file && file.error().code() == ErrorCode::kNotFound) return changed("no such file");
  if (!file) return file;
  TESSERA_ASSIGN(const FileIdentity now, file->Identity());
  if (now != seen) return changed(Describe(now));
  ReadNothingAhead(*file);
  return file;
}

}  // namespace

struct Checkpoint::State {
  State(CheckpointSurvey found, size_t open_limit)
      : survey(std::move(found)),
        files(
            open_limit,
            [this](uint32_t shard) {
              return OpenUnchanged(survey.dir / survey.shards[shard].name,
                                   survey.shards[shard].identity);
            },
            survey.frames) {}

  const CheckpointSurvey survey;
  ShardFiles files;
};

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Result<Checkpoint> Checkpoint::Open(const fs::path& path, const CheckpointOptions& options) {
  FaultList faults(1);
  CheckpointSurvey survey = SurveyCheckpoint(path, options, faults);
  if (!faults.empty()) return Fail(std::move(std::move(faults).Take().front()));
  return Checkpoint(std::make_unique<State>(std::move(survey), options.open_limit));
}

std::vector<Error> Checkpoint::FindFaults(const fs::path& path, const CheckpointOptions& options,
                                          size_t limit) {
  FaultList faults(limit);
  SurveyCheckpoint(path, options, faults);
  return std::move(faults).Take();
}

const fs::path& Checkpoint::dir() const { return state_->survey.dir; }
std::span<const Shard> Checkpoint::shards() const { return state_->survey.shards; }
std::span<const TensorExtent> Checkpoint::tensors() const { return state_->survey.tensors; }
uint64_t Checkpoint::payload_bytes() const { return state_->survey.payload_bytes; }
std::span<const std::string> Checkpoint::side_files() const { return state_->survey.side_files; }
const std::optional<std::string>& Checkpoint::config_text() const {
  return state_->survey.config_text;
}
const fs::path& Checkpoint::config_path() const { return state_->survey.config_path; }
Error Checkpoint::NoConfig() const {
  if (state_->survey.no_config) return *state_->survey.no_config;
  return Error(ErrorCode::kNoConfig, "there is no config.json beside the weights")
      .In(dir().string())
      .Next("without it the model is unknown: get config.json from where the weights came from");
}
const GgufMetadata* Checkpoint::gguf_metadata() const {
  return state_->survey.gguf ? &*state_->survey.gguf : nullptr;
}
uint32_t Checkpoint::ranks() const { return state_->survey.joins.ranks; }
std::span<const Finding> Checkpoint::findings() const { return state_->survey.findings; }
Digest Checkpoint::fingerprint() const { return state_->survey.fingerprint; }

const TensorExtent* Checkpoint::Find(std::string_view name) const {
  const auto name_of = [](const TensorExtent& t) -> std::string_view { return t.info.name(); };
  const auto found = std::ranges::lower_bound(tensors(), name, {}, name_of);
  return found != tensors().end() && found->info.name() == name ? &*found : nullptr;
}

uint32_t Checkpoint::IndexOf(const TensorExtent& extent) const {
  const auto index = &extent - tensors().data();
  TESSERA_CHECK(index >= 0 && static_cast<size_t>(index) < tensors().size());
  return static_cast<uint32_t>(index);
}

Result<void> Checkpoint::ReadBytes(const TensorExtent& tensor, uint64_t begin,
                                   std::span<std::byte> out) const {
  TESSERA_CHECK(begin <= tensor.info.bytes() && out.size() <= tensor.info.bytes() - begin);
  if (out.empty()) return {};
  if (ranks() != 0) {
    const CheckpointSurvey& survey = state_->survey;
    const RankReader reader(survey.joins, survey.shards, state_->files);
    return reader.Read(tensor.info, survey.joins.joins[IndexOf(tensor)], begin, out);
  }
  auto read = state_->files.ReadAt(tensor.shard, tensor.offset + begin, out);
  if (!read) return Fail(std::move(read).error().Of(tensor.info.name()));
  return {};
}

Result<void> Checkpoint::CheckUnchanged() const {
  for (const Shard& shard : shards())
    TESSERA_TRY(OpenUnchanged(dir() / shard.name, shard.identity));
  return {};
}

}  // namespace tessera
