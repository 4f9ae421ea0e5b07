#include "convert/committer.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <set>

#include "formats/page_cache.h"

namespace tessera {
namespace {

// A batch is committed when it has this many bytes, or after this long.
constexpr uint64_t kBatchBytes = uint64_t{64} << 20;
constexpr auto kBatchTime = std::chrono::seconds(1);
// Writing waits beyond this: with the batch being synced, the most that is ever dirty.
constexpr uint64_t kWaitingLimit = 2 * kBatchBytes;

// How long a stop waits for commits to begin and, judging by the last one, to end.
constexpr auto kPatience = std::chrono::milliseconds(500);

}  // namespace

Committer::Committer(Journal& journal, OutputFiles& files, std::vector<uint64_t> left)
    : journal_(journal), files_(files), left_(std::move(left)), thread_([this] { Run(); }) {}

Committer::~Committer() { Finish(); }

bool Committer::Add(Written written) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_bytes_ < kWaitingLimit || failure_; });
  if (failure_) return false;
  waiting_bytes_ += written.bytes;
  waiting_.push_back(std::move(written));
  if (waiting_bytes_ >= kBatchBytes) changed_.notify_all();
  return true;
}

std::optional<Error> Committer::Finish() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  return failure_;
}

std::optional<Error> Committer::FinishSoon() {
  {
    const std::scoped_lock lock(mutex_);
    deadline_ = Clock::now() + kPatience;
  }
  return Finish();
}

void Committer::Run() {
  Clock::duration last_commit{};
  std::unique_lock lock(mutex_);
  while (!closed_ || !waiting_.empty()) {
    changed_.wait_for(lock, kBatchTime,
                      [this] { return closed_ || waiting_bytes_ >= kBatchBytes; });
    if (waiting_.empty()) continue;
    const Clock::time_point begin = Clock::now();
    if (begin + last_commit > deadline_) return;
    const std::vector<Written> batch = TakeBatch();
    lock.unlock();
    changed_.notify_all();
    std::optional<Error> failure;
    try {
      if (Result<void> done = Commit(batch); !done) failure = std::move(done).error();
    } catch (const std::bad_alloc&) {
      failure = Error(ErrorCode::kMemoryBudget, "memory ran out");
    } catch (const std::exception& e) {
      failure = Error(ErrorCode::kInternal, e.what());
    }
    last_commit = Clock::now() - begin;
    lock.lock();
    if (failure) {
      failure_ = std::move(failure);
      changed_.notify_all();
      return;
    }
  }
}

// At most about kBatchBytes: a stop waits for one batch.
std::vector<Committer::Written> Committer::TakeBatch() {
  std::vector<Written> batch;
  for (uint64_t bytes = 0; bytes < kBatchBytes && !waiting_.empty(); waiting_.pop_front()) {
    bytes += waiting_.front().bytes;
    waiting_bytes_ -= waiting_.front().bytes;
    batch.push_back(std::move(waiting_.front()));
  }
  return batch;
}

Result<void> Committer::Commit(const std::vector<Written>& batch) {
  std::set<uint32_t> touched;
  std::vector<TileRecord> records;
  for (const Written& written : batch) {
    touched.insert(written.files.begin(), written.files.end());
    records.push_back(written.record);
  }
  for (const uint32_t file : touched) {
    TESSERA_ASSIGN(const std::shared_ptr<const File> staged, files_.Get(file));
    TESSERA_TRY(staged->SyncData());
    DropSynced(*staged);
  }
  TESSERA_TRY(journal_.Append(records));
  for (const Written& written : batch) {
    for (const uint32_t file : written.files) {
      TESSERA_CHECK(left_[file] > 0);
      --left_[file];
    }
  }
  for (const uint32_t file : touched) {
    if (left_[file] == 0 && !files_.comes_last(file)) TESSERA_TRY(files_.Publish(file));
  }
  const bool all = std::ranges::all_of(left_, [](uint64_t tiles) { return tiles == 0; });
  return all && files_.comes_last(0) ? files_.Publish(0) : Result<void>();
}

}  // namespace tessera
