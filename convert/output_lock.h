// Who may write an output folder: one whole run, or several parts of one. Locks of flock(2), which
// a dead process cannot hold.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "convert/run_part.h"
#include "formats/file.h"

namespace tessera {

class OutputLock {
 public:
  // `staging` exists. A whole run holds it alone; a part shares it with the other parts of as many.
  // kOutputLocked says who is in the way.
  static Result<OutputLock> Take(const std::filesystem::path& staging, const RunPart& part);

  // From sharing to holding it alone, once all others have let go. False: another run has ended the
  // work meanwhile and removed the locks, so that this one guards nothing any more.
  Result<bool> HoldAlone(const StopCheck& check);

  // Lets go. What was held alone leaves no file behind.
  void Release();

 private:
  OutputLock(std::filesystem::path staging, File run, std::optional<File> part)
      : staging_(std::move(staging)), run_(std::move(run)), part_(std::move(part)) {}

  std::filesystem::path staging_;
  std::optional<File> run_;   // shared, or held alone
  std::optional<File> part_;  // held alone: a part is made by one process at a time
  bool alone_ = false;
};

}  // namespace tessera
