#include "convert/output_folders.h"

#include <algorithm>
#include <ranges>

#include "convert/preflight.h"

namespace tessera {

Result<OutputFolders> OutputFolders::Open(std::span<const std::filesystem::path> outs,
                                          const Plan& plan, bool force) {
  TESSERA_CHECK(outs.size() == plan.folders.size());
  TESSERA_TRY(CheckApart(outs, plan));
  OutputFolders out;
  for (uint32_t folder = 0; folder < outs.size(); ++folder) {
    out.dirs_.emplace_back(outs[folder], plan, folder);
  }
  TESSERA_TRY(out.Inspect(plan, force));
  // With a staging folder still there a run died at its very last act, which is ours now.
  if (out.finished() && std::ranges::none_of(out.dirs_, &OutputDir::has_staging)) return out;
  if (!out.finished()) TESSERA_TRY(CheckSpace(outs, plan));
  TESSERA_TRY(out.Claim());
  // Once more, now that nobody else can change them.
  TESSERA_TRY(out.Inspect(plan, force));
  if (out.finished()) {
    TESSERA_TRY(out.Close());
    return out;
  }
  for (OutputDir& dir : out.dirs_) {
    OutputDir* const first = &dir == &out.dirs_.front() ? nullptr : &out.dirs_.front();
    TESSERA_TRY(dir.Begin(plan, first));
  }
  return out;
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

Result<void> OutputFolders::Close() {
  for (OutputDir& dir : dirs_ | std::views::reverse) TESSERA_TRY(dir.Close());
  return {};
}

}  // namespace tessera
