// All folders that a run writes, held together: usually one, of split-mtp two.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "convert/output_dir.h"
#include "convert/plan.h"
#include "formats/result.h"

namespace tessera {

class OutputFolders {
 public:
  // `outs` are the plan's folders. Checks everything that can be checked without writing: none is
  // in (or around) an input or another, they hold nothing foreign and no other plan's work, there
  // is space, and limits allow the files. Then locks them, throws away what `force` replaces, and
  // opens the journal, which lies in the first folder.
  static Result<OutputFolders> Open(std::span<const std::filesystem::path> outs, const Plan& plan,
                                    bool force);

  // They already hold exactly what the plan would make; nothing is locked then.
  bool finished() const;

  const OutputDir& dir(uint32_t folder) const { return dirs_[folder]; }
  uint32_t size() const { return static_cast<uint32_t>(dirs_.size()); }
  Journal& journal() { return dirs_[0].journal(); }

  // Removes the staging folders: the last act of a run.
  Result<void> Close();

 private:
  Result<void> Inspect(const Plan& plan, bool force);
  Result<void> Claim();

  std::vector<OutputDir> dirs_;
};

}  // namespace tessera
