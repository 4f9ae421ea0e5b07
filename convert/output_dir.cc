#include "convert/output_dir.h"

#include <algorithm>
#include <sstream>

#include "formats/json.h"
#include "formats/manifest.h"
#include "formats/shard_name.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxNamesBytes = uint64_t{256} << 20;

// Everything below `dir` that is no folder, relative to it. Folders hold nothing of anybody's.
Result<std::vector<std::string>> ListTree(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(dir, error); it != fs::end(it);
       it.increment(error)) {
    if (error) break;
    if (it.depth() == 0 && it->path().filename() == ".partial") {
      it.disable_recursion_pending();
    } else if (it->is_symlink(error) || !it->is_directory(error)) {
      names.push_back(it->path().lexically_relative(dir).string());
    }
  }
  if (error) return Fail(SystemError(ErrorCode::kWriteFailed, "listing", dir, error.value()));
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> NamesIn(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const ManifestFile& file : manifest.files) names.push_back(file.name);
  for (const ManifestSideFile& file : manifest.side_files) names.push_back(file.name);
  return names;
}

std::string Some(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(names.size(), 5); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > 5) text += " and " + std::to_string(names.size() - 5) + " more";
  return text;
}

// The sizes that the manifest promises, without reading contents.
bool SizesHold(const fs::path& out, const Manifest& manifest) {
  std::error_code error;
  const auto holds = [&](const auto& file) {
    return fs::is_regular_file(fs::symlink_status(out / file.name, error)) &&
           fs::file_size(out / file.name, error) == file.bytes && !error;
  };
  return std::ranges::all_of(manifest.files, holds) &&
         std::ranges::all_of(manifest.side_files, holds);
}

std::string Describe(const std::vector<std::pair<std::string, std::string>>& request) {
  std::string text;
  for (const auto& [key, value] : request) {
    text += (text.empty() ? "" : " ") + key + "=" + value;
  }
  return text;
}

// What a plan leaves out because it must not reach output bytes: when the inputs were last
// modified.
Digest InputState(const Plan& plan) {
  Xxh3Stream hash;
  for (const auto& source : plan.sources) {
    for (const Shard& shard : source->shards()) {
      hash.Update(shard.identity.size);
      hash.Update(static_cast<uint64_t>(shard.identity.mtime_ns));
    }
  }
  return hash.Finish();
}

}  // namespace

OutputDir::OutputDir(const fs::path& out, const Plan& plan, uint32_t folder, const RunPart& part)
    : out_(out.filename().empty() ? out.parent_path() : out),  // "OUT/"
      part_(part),
      file_(plan.folders[folder].file),
      staging_name_(plan.folders[folder].staging_name()),
      manifest_name_(plan.folders[folder].manifest_name()),
      index_name_(plan.folders[folder].index_name) {
  final_names_ = {manifest_name_};
  if (!plan.folders[folder].config.empty()) final_names_.push_back("config.json");
  if (!index_name_.empty()) final_names_.push_back(index_name_);
  for (const PlanText& text : plan.folders[folder].texts) final_names_.push_back(text.name);
  for (const PlanFile& file : plan.files) {
    if (file.folder == folder) shard_names_.push_back(file.name);
  }
  final_names_.insert(final_names_.end(), shard_names_.begin(), shard_names_.end());
  const std::vector<std::string>& side_files = plan.folders[folder].side_files;
  final_names_.insert(final_names_.end(), side_files.begin(), side_files.end());
  std::ranges::sort(final_names_);
  std::ranges::sort(shard_names_);
}

Result<std::vector<std::string>> OutputDir::ListPresent() const {
  if (file_.empty()) return ListTree(out_);
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(out_, error); !error && it != fs::end(it);
       it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name == manifest_name_ || IsShare(name)) names.push_back(std::move(name));
  }
  if (error) return Fail(SystemError(ErrorCode::kWriteFailed, "listing", out_, error.value()));
  std::ranges::sort(names);
  return names;
}

// Of an output of one file: whether a file of this name is that one, or one it may be split into.
bool OutputDir::IsShare(const std::string& name) const {
  if (name == file_) return true;
  const std::optional<ShardName> split = ParseShardName(name, kGgufEnding);
  return split && split->prefix + std::string(kGgufEnding) == file_;
}

// What is there last, and must go first.
bool OutputDir::MarksWhole(const std::string& name) const {
  if (name == manifest_name_ || name.ends_with(".index.json")) return true;
  if (file_.empty()) return false;
  const std::optional<ShardName> split = ParseShardName(name, kGgufEnding);
  return !split || split->number == 1;
}

Error OutputDir::Conflict(ErrorCode code, const std::string& what) const {
  if (file_.empty()) return Error(code, "the output folder holds " + what).In(out_.string());
  return Error(code, "the output's name is taken by " + what).In((out_ / file_).string());
}

bool OutputDir::has_staging() const {
  std::error_code error;
  return fs::exists(staging(), error);
}

Result<void> OutputDir::Claim() {
  std::error_code error;
  made_ = !fs::exists(out_, error);
  const bool made = fs::create_directories(staging(), error);
  if (error) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "making", staging(), error.value()));
  }
  if (made) {
    TESSERA_TRY(SyncDirectory(out_));
    TESSERA_TRY(SyncDirectory(fs::absolute(out_).parent_path()));
  }
  TESSERA_ASSIGN(lock_, OutputLock::Take(staging(), part_));
  return {};
}

void OutputDir::Release() {
  std::error_code error;
  journal_.reset();
  if (lock_) lock_->Release();
  lock_.reset();
  fs::remove(staging(), error);  // unless work is staged there
  if (made_) fs::remove(out_, error);
}

// Leaves nothing in OUT but what the plan ends in.
Result<void> OutputDir::Begin(const Plan& plan, OutputDir* first) {
  const fs::path journal = staging() / journal_name();
  head_ = {.plan = plan.hash, .inputs = InputState(plan), .request = Describe(plan.request)};
  // Two runs of one plan must not share this folder when their journals lie elsewhere.
  if (first != nullptr) {
    head_.request += " journal=" + QuoteJson(fs::canonical(first->out_).string());
  }
  const Result<void> same_work = CheckJournals();
  if (!same_work && !replace_) return same_work;
  // --force on an unfinished run of the very same plan goes on with it.
  if (replace_ && (sealed_ || !same_work)) {
    // First on record that all of it is ours: a kill in the middle must not make the rest look
    // foreign.
    std::vector<std::string> all = ours_;
    all.insert(all.end(), final_names_.begin(), final_names_.end());
    TESSERA_TRY(WriteNames(all));
    TESSERA_TRY(Remove([](const std::string&) { return true; }));
    TESSERA_TRY(ClearStaging());
  }
  std::error_code error;
  if (first != nullptr && !fs::exists(journal, error)) TESSERA_TRY(first->journal().Forget());
  TESSERA_ASSIGN(journal_, Journal::Open(journal, head_));
  TESSERA_TRY(RemoveLeftovers());
  return WriteNames(final_names_);
}

Result<void> OutputDir::RemoveLeftovers() {
  return Remove(
      [&](const std::string& name) { return !std::ranges::binary_search(shard_names_, name); });
}

// Sets finished_, replace_ and ours_, or says why OUT cannot be used.
Result<void> OutputDir::Inspect(const Plan& plan, bool force) {
  finished_ = replace_ = sealed_ = false;
  ours_.clear();
  present_.clear();
  std::error_code error;
  // Where others have files too, the folder is theirs to place.
  const fs::file_status status =
      file_.empty() ? fs::symlink_status(out_, error) : fs::status(out_, error);
  if (!fs::exists(status)) return {};
  if (!fs::is_directory(status)) {
    return Fail(
        Error(ErrorCode::kOutputConflict, "the output must be a folder, not a file or a link")
            .In(out_.string()));
  }
  TESSERA_ASSIGN(present_, ListPresent());
  const bool unfinished = has_staging();
  sealed_ = std::ranges::binary_search(present_, manifest_name_);
  bool same_plan = false;
  if (sealed_) {
    TESSERA_ASSIGN(const Manifest manifest, ReadManifest(manifest_path()));
    ours_ = NamesIn(manifest);
    ours_.push_back(manifest_name_);
    same_plan = manifest.plan == plan.hash;
    finished_ = same_plan && !force && SizesHold(out_, manifest);
    if (!same_plan && !force) {
      return Fail(
          Conflict(ErrorCode::kPlanMismatch, "the result of another plan")
              .Expected(Describe(plan.request) + " (plan " + ToHex(plan.hash) + "): this command")
              .Found(Describe(manifest.request) + " (plan " + ToHex(manifest.plan) +
                     "): the finished run")
              .Next(file_.empty() ? "give another folder, or --force to replace it"
                                  : "give another name, or --force to replace it"));
    }
  }
  for (const std::string& names_file : StagedFiles(".names")) {
    TESSERA_ASSIGN(const std::string text, ReadWholeFile(staging() / names_file, kMaxNamesBytes));
    std::istringstream entries(text);
    for (std::string name; std::getline(entries, name, '\0');) {
      if (StaysInside(name)) ours_.push_back(name);
    }
  }
  std::ranges::sort(ours_);
  std::vector<std::string> foreign;
  std::ranges::set_difference(present_, ours_, std::back_inserter(foreign));
  if (!foreign.empty()) {
    return Fail(Conflict(ErrorCode::kForeignFile, "files that tessera did not write")
                    .Found(Some(foreign))
                    .Next(file_.empty() ? "give an empty or new folder" : "give another name"));
  }
  replace_ = force && (sealed_ || unfinished);
  if (sealed_ && same_plan && !finished_ && !force && !unfinished) {
    return Fail(
        Error(ErrorCode::kPlanMismatch, "the output was finished, but files in it changed since")
            .In(out_.string())
            .Next("see what with: tessera verify OUT; make it anew with --force"));
  }
  return {};
}

Result<void> OutputDir::WriteNames(const std::vector<std::string>& names) const {
  std::string text;
  for (const std::string& name : names) text += name + '\0';
  return WriteFileAtomically(staging() / (part_.Name() + ".names"), text, staging());
}

std::vector<std::string> OutputDir::StagedFiles(std::string_view ending) const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(staging(), error)) {
    if (entry.path().extension() == ending) names.push_back(entry.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> OutputDir::JournalNames() const { return StagedFiles(".journal"); }

bool OutputDir::has_journal(const std::string& name) const {
  std::error_code error;
  return fs::exists(staging() / name, error);
}

// Before anything is written: a command that is refused must not be in the way of the right one.
Result<void> OutputDir::CheckJournals() const {
  for (const std::string& name : JournalNames()) {
    if (Result<std::vector<TileRecord>> read = ReadJournal(name); !read) {
      return Fail(std::move(read).error());
    }
  }
  return {};
}

Result<std::vector<TileRecord>> OutputDir::ReadJournal(const std::string& name) const {
  return Journal::Read(staging() / name, head_);
}

Result<void> OutputDir::RemoveOtherJournals() {
  std::error_code error;
  for (const std::string& name : JournalNames()) {
    if (name == journal_name()) continue;
    fs::remove(staging() / name, error);
    if (error) {
      return Fail(
          SystemError(ErrorCode::kWriteFailed, "removing", staging() / name, error.value()));
    }
  }
  return SyncDirectory(staging());
}

Result<bool> OutputDir::HoldAlone(const StopCheck& check) { return lock_->HoldAlone(check); }

// Removes what is in OUT and chosen; Inspect has made sure that all of it is ours. First goes what
// says that the checkpoint is whole, last the folders that have become empty.
Result<void> OutputDir::Remove(const std::function<bool(const std::string&)>& chosen) {
  std::vector<std::string> names;
  std::ranges::copy_if(present_, std::back_inserter(names), chosen);
  std::ranges::partition(names, [&](const std::string& name) { return MarksWhole(name); });
  std::error_code error;
  for (const std::string& name : names) {
    fs::remove(out_ / name, error);
    if (error) {
      return Fail(SystemError(ErrorCode::kWriteFailed, "removing", out_ / name, error.value()));
    }
    std::erase(present_, name);
  }
  for (const std::string& name : names) {
    for (fs::path up = fs::path(name).parent_path(); !up.empty(); up = up.parent_path()) {
      if (!fs::is_empty(out_ / up, error) || error || !fs::remove(out_ / up, error)) break;
    }
  }
  return names.empty() ? Result<void>() : SyncDirectory(out_);
}

// All but the lock, and the names, which the next run needs to know what is ours.
Result<void> OutputDir::ClearStaging() const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(staging(), error)) {
    if (entry.path().extension() == ".lock" || entry.path().extension() == ".names") continue;
    fs::remove_all(entry.path(), error);
    if (error) {
      return Fail(SystemError(ErrorCode::kWriteFailed, "removing", entry.path(), error.value()));
    }
  }
  return SyncDirectory(staging());
}

Result<void> OutputDir::Close() {
  // Closed before they are removed: over NFS an open file leaves another in its place.
  journal_.reset();
  TESSERA_TRY(ClearStaging());
  std::error_code error;
  for (const std::string& name : StagedFiles(".names")) {
    fs::remove(staging() / name, error);
    if (error)
      return Fail(SystemError(ErrorCode::kWriteFailed, "removing", staging(), error.value()));
  }
  lock_->Release();
  // Not empty, or gone: another run has come, whose folder it is now.
  fs::remove(staging(), error);
  return SyncDirectory(out_);
}

}  // namespace tessera
