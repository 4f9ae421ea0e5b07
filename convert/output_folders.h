// All folders that a run writes, held together: usually one, of split-mtp two.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "convert/output_dir.h"
#include "convert/plan.h"
#include "convert/request.h"
#include "formats/result.h"

namespace tessera {

class OutputFolders {
 public:
  // `outs` are the plan's folders. Checks everything that can be checked without writing: none is
  // in (or around) an input or another, they hold nothing foreign and no other plan's work, there
  // is space, and limits allow the files. Then locks them, throws away what `force` replaces, and
  // opens the journal, which lies in the first folder. Several parts may have them open at once.
  static Result<OutputFolders> Open(std::span<const std::filesystem::path> outs, const Plan& plan,
                                    const RunOptions& options, bool force);

  // They already hold exactly what the plan would make; nothing is locked then.
  bool finished() const;

  const OutputDir& dir(uint32_t folder) const { return dirs_[folder]; }
  uint32_t size() const { return static_cast<uint32_t>(dirs_.size()); }
  Journal& journal() { return dirs_[0].journal(); }

  // Tiles that former runs recorded, and that other parts have recorded so far.
  struct Records {
    std::vector<TileRecord> own, others;
  };
  Result<Records> ReadRecords() const;
  // Which of the plan's tiles some run has recorded.
  Result<std::vector<bool>> RecordedTiles(const Plan& plan) const;
  // How many parts the runs had whose journals are there; 1 if none was a part.
  uint32_t CountParts() const;
  // From now on only `records` count; held alone, of all journals, else of this part's.
  Result<void> Keep(std::span<const TileRecord> records);

  bool alone() const { return alone_; }
  // Of a part whose work is done: waits until it holds the folders alone. False: another part has
  // finished the run.
  Result<bool> HoldAlone(const Plan& plan, const StopCheck& check);
  // Lets other runs have the folders; the work stays.
  void Release();

  // Removes the staging folders: the last act of a run.
  Result<void> Close();

 private:
  Result<void> Begin(const Plan& plan, const RunOptions& options);
  Result<void> Inspect(const Plan& plan, bool force);
  Result<void> Claim();

  std::vector<OutputDir> dirs_;
  bool alone_ = true;
};

}  // namespace tessera
