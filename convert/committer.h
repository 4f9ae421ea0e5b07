// Makes written tiles durable in batches: sync the files, then record the tiles, then publish the
// files that are whole. Runs on a thread of its own, so that writing goes on while the disk syncs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "convert/journal.h"
#include "convert/output_files.h"
#include "convert/plan.h"

namespace tessera {

class Committer {
 public:
  struct Written {
    TileRecord record;
    std::vector<uint32_t> files;  // written to, one entry a destination
    uint64_t bytes;
  };

  // `left` counts, for each file, the (tile, destination) pairs not yet durable.
  Committer(Journal& journal, OutputFiles& files, std::vector<uint64_t> left);
  ~Committer();

  // Blocks while too many bytes wait to be synced: what a stop has to wait for stays small, and so
  // does what the kernel has to write back. Returns false once a commit has failed.
  bool Add(Written written);

  // Commits what waits, stops the thread. The first failure, if there was one.
  std::optional<Error> Finish();

  // The same within about half a second: what cannot be committed in that time is dropped, and the
  // next run makes those tiles again. A stop must not wait for a slow disk.
  std::optional<Error> FinishSoon();

 private:
  using Clock = std::chrono::steady_clock;

  void Run();
  std::vector<Written> TakeBatch();
  Result<void> Commit(const std::vector<Written>& batch);

  Journal& journal_;
  OutputFiles& files_;
  std::vector<uint64_t> left_;  // the thread's own

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Written> waiting_;
  uint64_t waiting_bytes_ = 0;
  bool closed_ = false;
  Clock::time_point deadline_ = Clock::time_point::max();
  std::optional<Error> failure_;
  std::thread thread_;
};

}  // namespace tessera
