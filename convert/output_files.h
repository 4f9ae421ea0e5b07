// The shards being written: staged as OUT/.partial/NAME.part, renamed into their OUT once whole. Of
// a plan that compresses, a whole one is compressed first: what is staged is always plain.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "convert/output_folders.h"
#include "convert/plan.h"
#include "convert/request.h"
#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

class OutputFiles {
 public:
  // At most `open_limit` files are open at once; `packers` threads compress. All references must
  // outlive this.
  OutputFiles(const Plan& plan, const RunOptions& options, const OutputFolders& out,
              size_t open_limit, unsigned packers);

  // Thread-safe. On first use in this run the file is made (or found), sized, and its header
  // written.
  Result<std::shared_ptr<const File>> Get(uint32_t file);

  // Whether all others are published before this one.
  bool comes_last(uint32_t file) const { return plan_.first_file_last && file == 0; }

  // The file's bytes are all written: checks the size, syncs, renames (see publish.h), syncs the
  // folder. To compress takes time; a stop ends it, and the next run does it again.
  Result<void> Publish(uint32_t file);

  // What a former run left of a file. Of another size than planned it counts as absent: what the
  // journal says about it is void.
  enum class State : uint8_t { kAbsent, kStaged, kPublished };
  State Look(uint32_t file) const;

  // kForeignFile if there is something under the final name while the file is staged.
  Result<void> CheckOneName(uint32_t file) const;

  // Back from its final name to the staging folder, because tiles of it have to be made again.
  Result<void> Withdraw(uint32_t file);

 private:
  const OutputDir& DirOf(uint32_t file) const { return out_.dir(plan_.files[file].folder); }
  std::filesystem::path FinalPath(uint32_t file) const;
  std::filesystem::path StagedPath(uint32_t file) const;
  Result<File> Open(uint32_t file);
  Result<void> PublishPacked(uint32_t file);
  Result<void> UnpackStaged(uint32_t file) const;
  bool IsPublished(uint32_t file) const;
  StopCheck UntilStopped() const {
    return [this] { return options_.CheckStop(); };
  }

  const Plan& plan_;
  const RunOptions& options_;
  const unsigned packers_;
  const OutputFolders& out_;
  std::vector<bool> prepared_;  // guarded by the cache's own lock: only its opener touches it
  FileCache cache_;
};

}  // namespace tessera
