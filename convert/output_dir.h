// The folder that a run writes: whose it is, who holds it, what is already done.
//
// Work goes to OUT/.partial; finished files are renamed into OUT. An index in OUT means that the
// checkpoint is whole, a manifest that the run is over.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/journal.h"
#include "convert/plan.h"
#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

class OutputDir {
 public:
  // Checks everything that can be checked without writing: OUT is not in (or around) an input,
  // holds nothing foreign and no other plan's work, there is space, and limits allow the files.
  // Then makes OUT and its staging folder and locks it. `force` throws away what tessera wrote
  // there before, nothing else. Last it opens the journal, which refuses to mix its work with
  // another plan's or another input's.
  static Result<OutputDir> Open(const std::filesystem::path& out, const Plan& plan, bool force);

  // OUT already holds exactly what the plan would make; nothing is locked then.
  bool finished() const { return finished_; }

  const std::filesystem::path& path() const { return out_; }
  std::filesystem::path staging() const { return out_ / ".partial"; }
  Journal& journal() { return *journal_; }

  // Removes the staging folder, and with it the lock: the last act of a run.
  Result<void> Close();

 private:
  explicit OutputDir(std::filesystem::path out) : out_(std::move(out)) {}

  Result<void> Inspect(const Plan& plan, bool force);
  Result<void> Lock();
  Result<void> Begin(const Plan& plan);
  Result<void> WriteNames(const std::vector<std::string>& names) const;
  Result<void> Remove(const std::function<bool(const std::string&)>& chosen);
  Result<void> ClearStaging() const;

  std::filesystem::path out_;
  bool finished_ = false;
  bool sealed_ = false;               // OUT holds a manifest
  bool replace_ = false;              // `force` and there is something of ours to throw away
  std::vector<std::string> present_;  // files in OUT, sorted
  std::vector<std::string> ours_;     // what runs of ours wrote or were to write, sorted
  std::optional<File> lock_;
  std::optional<Journal> journal_;
};

}  // namespace tessera
