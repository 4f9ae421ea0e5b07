// A folder that a run writes: whose it is, who holds it, what is already done.
//
// Work goes to OUT/.partial; finished files are renamed into OUT. An index in OUT means that the
// checkpoint is whole, a manifest that the run is over.
// An output of one file (and those it is split into) shares its folder with whatever else is there:
// work goes to FILE.partial, and only files of its name count.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/journal.h"
#include "convert/output_lock.h"
#include "convert/plan.h"
#include "convert/run_part.h"
#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

class OutputDir {
 public:
  // Of folder `folder` of the plan; `part` is this run's share of it.
  OutputDir(const std::filesystem::path& out, const Plan& plan, uint32_t folder,
            const RunPart& part);

  // Says why OUT cannot be used: it is no folder, holds something foreign, or another plan's work.
  // Changes nothing.
  Result<void> Inspect(const Plan& plan, bool force);
  // OUT held exactly what the plan would make when it was last inspected.
  bool finished() const { return finished_; }

  // Makes OUT and its staging folder and locks it.
  Result<void> Claim();
  // Undoes Claim; what was staged stays.
  void Release();
  // Waits until no other part holds the folder. False: one of them has finished the run.
  Result<bool> HoldAlone(const StopCheck& check);

  // After Claim and Inspect: throws away what `force` replaces, nothing else, and opens the
  // journal, which refuses to mix its work with another plan's or another input's. `first`: the
  // folder whose journal records this one's tiles, null for that folder itself. What it records
  // is forgotten if this one begins anew.
  Result<void> Begin(const Plan& plan, OutputDir* first);
  // After Inspect: removes what an abandoned run left beside shards. The sealing makes it again,
  // and whatever has one of these names by then is somebody else's.
  Result<void> RemoveLeftovers();

  const std::filesystem::path& path() const { return out_; }
  std::filesystem::path staging() const { return out_ / staging_name_; }
  std::filesystem::path manifest_path() const { return out_ / manifest_name_; }
  bool has_staging() const;
  Journal& journal() { return *journal_; }

  // What parts recorded, each in a journal of its own, whose names these are.
  std::vector<std::string> JournalNames() const;
  bool has_journal(const std::string& name) const;
  Result<std::vector<TileRecord>> ReadJournal(const std::string& name) const;
  // From now on this run's own journal is the only one. Held alone.
  Result<void> RemoveOtherJournals();
  std::string journal_name() const { return part_.Name() + ".journal"; }

  // Removes the staging folder, and with it the lock: the last act of a run, which holds it alone.
  Result<void> Close();

 private:
  Result<std::vector<std::string>> ListPresent() const;
  bool IsShare(const std::string& name) const;
  bool MarksWhole(const std::string& name) const;
  // kPlanMismatch or kInputChanged if one of them is of other work than this run's.
  Result<void> CheckJournals() const;
  Error Conflict(ErrorCode code, const std::string& what) const;
  Result<void> WriteNames(const std::vector<std::string>& names) const;
  std::vector<std::string> StagedFiles(std::string_view ending) const;
  Result<void> Remove(const std::function<bool(const std::string&)>& chosen);
  Result<void> ClearStaging() const;

  std::filesystem::path out_;
  RunPart part_;
  std::string file_;  // PlanFolder::file
  std::string staging_name_, manifest_name_;
  std::vector<std::string> final_names_;  // every path, relative to OUT, that the plan ends in
  std::vector<std::string> shard_names_;  // of these, the plan's files
  std::string index_name_;
  bool made_ = false;  // by Claim
  bool finished_ = false;
  bool sealed_ = false;               // OUT holds a manifest
  bool replace_ = false;              // `force` and there is something of ours to throw away
  std::vector<std::string> present_;  // files in OUT that matter, sorted
  std::vector<std::string> ours_;     // what runs of ours wrote or were to write
  std::optional<OutputLock> lock_;
  JournalHead head_;
  std::optional<Journal> journal_;
};

}  // namespace tessera
