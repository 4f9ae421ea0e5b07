#include "convert/output_folders.h"

#include <algorithm>
#include <charconv>
#include <ranges>

#include "convert/preflight.h"

namespace tessera {

Result<OutputFolders> OutputFolders::Open(std::span<const std::filesystem::path> outs,
                                          const Plan& plan, const RunOptions& options, bool force) {
  TESSERA_CHECK(outs.size() == plan.folders.size());
  TESSERA_TRY(CheckApart(outs, plan));
  OutputFolders out;
  out.alone_ = options.part.is_whole();
  for (uint32_t folder = 0; folder < outs.size(); ++folder) {
    out.dirs_.emplace_back(outs[folder], plan, folder, options.part);
  }
  TESSERA_TRY(out.Inspect(plan, force));
  // With a staging folder still there a run died at its very last act, which is ours now.
  if (out.finished() && std::ranges::none_of(out.dirs_, &OutputDir::has_staging)) return out;
  if (!out.finished()) TESSERA_TRY(CheckSpace(outs, plan));
  TESSERA_TRY(out.Claim());
  // Once more, now that nobody else can change them.
  TESSERA_TRY(out.Inspect(plan, force));
  if (out.finished()) {
    // Parts that share the folders have found the same; whoever holds them alone first tidies up.
    TESSERA_TRY(out.HoldAlone(plan, [&] { return options.CheckStop(); }));
    out.Release();
    return out;
  }
  if (Result<void> begun = out.Begin(plan, options); !begun) {
    out.Release();
    return Fail(std::move(begun).error());
  }
  return out;
}

Result<void> OutputFolders::Begin(const Plan& plan, const RunOptions& options) {
  for (OutputDir& dir : dirs_) {
    OutputDir* const first = &dir == &dirs_.front() ? nullptr : &dirs_.front();
    TESSERA_TRY(dir.Begin(plan, first));
  }
  if (alone_) return {};
  const std::filesystem::path& staging = dirs_[0].staging();
  return WriteFileAtomically(staging / (options.part.Name() + ".command"), options.command,
                             staging);
}

bool OutputFolders::finished() const { return std::ranges::all_of(dirs_, &OutputDir::finished); }

Result<void> OutputFolders::Inspect(const Plan& plan, bool force) {
  for (OutputDir& dir : dirs_) TESSERA_TRY(dir.Inspect(plan, force));
  return {};
}

// All or none: a folder that another run holds must not leave the others locked or made.
Result<void> OutputFolders::Claim() {
  for (size_t i = 0; i < dirs_.size(); ++i) {
    Result<void> claimed = dirs_[i].Claim();
    if (claimed) continue;
    for (size_t held = i; held-- > 0;) dirs_[held].Release();
    return claimed;
  }
  return {};
}

Result<OutputFolders::Records> OutputFolders::ReadRecords() const {
  Records records;
  for (const std::string& name : dirs_[0].JournalNames()) {
    // Where another folder has lost its counterpart, that folder's files are lost too.
    const bool there =
        std::ranges::all_of(dirs_, [&](const OutputDir& dir) { return dir.has_journal(name); });
    if (!there) continue;
    TESSERA_ASSIGN(std::vector<TileRecord> read, dirs_[0].ReadJournal(name));
    auto& into = name == dirs_[0].journal_name() ? records.own : records.others;
    into.insert(into.end(), std::make_move_iterator(read.begin()),
                std::make_move_iterator(read.end()));
  }
  return records;
}

Result<std::vector<bool>> OutputFolders::RecordedTiles(const Plan& plan) const {
  std::vector<bool> recorded(plan.tiles, false);
  TESSERA_ASSIGN(const Records records, ReadRecords());
  for (const auto* list : {&records.own, &records.others}) {
    for (const TileRecord& record : *list) {
      if (record.tile < plan.tiles) recorded[record.tile] = true;
    }
  }
  return recorded;
}

uint32_t OutputFolders::CountParts() const {
  uint32_t count = 1;
  for (const std::string& name : dirs_[0].JournalNames()) {
    const size_t of = name.rfind("-of-");
    uint32_t n = 0;
    if (of == std::string::npos) continue;
    std::from_chars(name.data() + of + 4, name.data() + name.size(), n);
    count = std::max(count, n);
  }
  return count;
}

Result<void> OutputFolders::Keep(std::span<const TileRecord> records) {
  TESSERA_TRY(journal().Forget());
  TESSERA_TRY(journal().Append(records));
  return alone_ ? dirs_[0].RemoveOtherJournals() : Result<void>();
}

Result<bool> OutputFolders::HoldAlone(const Plan& plan, const StopCheck& check) {
  for (OutputDir& dir : dirs_) {
    TESSERA_ASSIGN(const bool guarded, dir.HoldAlone(check));
    if (!guarded) return false;
  }
  alone_ = true;
  TESSERA_TRY(Inspect(plan, false));
  if (finished()) {
    TESSERA_TRY(Close());
    return false;
  }
  for (OutputDir& dir : dirs_) TESSERA_TRY(dir.RemoveLeftovers());
  return true;
}

void OutputFolders::Release() {
  for (OutputDir& dir : dirs_) dir.Release();
}

Result<void> OutputFolders::Close() {
  for (OutputDir& dir : dirs_ | std::views::reverse) TESSERA_TRY(dir.Close());
  return {};
}

}  // namespace tessera
