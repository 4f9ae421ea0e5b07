#include "verify/tensor_compare.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

#include "formats/interruption.h"
#include "verify/parallel.h"
#include "verify/tensor_judgement.h"
#include "verify/tensor_tile.h"

namespace tessera {
namespace {

struct Job {
  uint32_t pair, tile;
};

class TensorCompare {
 public:
  TensorCompare(const ComparedCheckpoint& a, const ComparedCheckpoint& b,
                const CompareOptions& options, WorkCounters& counters)
      : a_(a), b_(b), options_(options), counters_(counters), match_(MatchTensors(a, b)) {}

  Result<ComparisonReport> Run() {
    for (const MatchedTensor& pair : match_.pairs) {
      pairs_.emplace_back(*pair.a->weight, *pair.b->weight);
      tiles_.emplace_back(pairs_.back().tiles());
    }
    open_ = std::vector<std::atomic<uint32_t>>(pairs_.size());
    TESSERA_ASSIGN(workers_, CountWorkers());
    TESSERA_TRY(RunJobs(AllTiles(), false));
    TESSERA_TRY(RunJobs(TilesToMeasure(), true));
    TESSERA_TRY(a_.checkpoint.CheckUnchanged());
    TESSERA_TRY(b_.checkpoint.CheckUnchanged());
    return Report();
  }

 private:
  Result<size_t> CountWorkers() const {
    uint64_t need = 0;
    for (const TilePair& pair : pairs_) need = std::max(need, TileComparer::MemoryFor(pair));
    if (need > options_.memory) {
      return Fail(Error(ErrorCode::kMemoryBudget, "the budget for buffers is too small")
                      .Expected(std::to_string(need) + " bytes or more")
                      .Found(std::to_string(options_.memory) + " bytes")
                      .Next("raise --memory"));
    }
    const uint64_t threads = options_.threads == 0 ? DefaultThreads() : options_.threads;
    return std::min(threads, options_.memory / std::max<uint64_t>(1, need));
  }

  // In the order of A's files, so that reading is sequential.
  std::vector<Job> AllTiles() const {
    std::vector<uint32_t> order(pairs_.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, {}, [&](uint32_t i) {
      const TensorExtent& extent = *pairs_[i].a->parts[0];
      return std::tuple(extent.shard, extent.offset, i);
    });
    std::vector<Job> jobs;
    for (const uint32_t i : order) AddTiles(i, jobs);
    return jobs;
  }

  // Tiles checked and found the same say nothing about the size of what they hold.
  std::vector<Job> TilesToMeasure() const {
    std::vector<Job> jobs;
    for (uint32_t i = 0; i < pairs_.size(); ++i) {
      if (NeedsMeasuring(pairs_[i], tiles_[i])) AddTiles(i, jobs);
    }
    std::erase_if(jobs, [&](Job job) { return tiles_[job.pair][job.tile].stats != nullptr; });
    return jobs;
  }

  void AddTiles(uint32_t pair, std::vector<Job>& jobs) const {
    const auto count = static_cast<uint32_t>(pairs_[pair].tiles());
    for (uint32_t tile = 0; tile < count; ++tile) jobs.push_back({pair, tile});
  }

  // Workers take the jobs in order, so that of several failures the first job's is reported.
  Result<void> RunJobs(const std::vector<Job>& jobs, bool measure) {
    for (const Job job : jobs) {
      counters_.total_bytes += pairs_[job.pair].Bytes(pairs_[job.pair].Tile(job.tile));
      ++open_[job.pair];
    }
    next_ = 0;
    Threads(static_cast<unsigned>(workers_)).ForEach(workers_, [&](size_t) {
      Work(jobs, measure);
    });
    if (failure_) return Fail(std::move(failure_->second));
    if (!Stopped()) return {};
    return Fail(InterruptedBy(*options_.signal));
  }

  void Work(const std::vector<Job>& jobs, bool measure) {
    TileComparer comparer(a_.checkpoint, b_.checkpoint, counters_);
    while (!Stopped() && !failed_) {
      const size_t i = next_++;
      if (i >= jobs.size()) return;
      const auto [pair, tile] = jobs[i];
      Result<TileResult> result = comparer.Compare(pairs_[pair], pairs_[pair].Tile(tile), measure);
      if (!result) {
        const std::scoped_lock lock(mutex_);
        failed_ = true;
        if (!failure_ || i < failure_->first) failure_.emplace(i, std::move(result).error());
        return;
      }
      tiles_[pair][tile] = *std::move(result);
      if (--open_[pair] == 0) FoldIfDone(pair);
    }
  }

  // By whoever finishes a pair's last tile.
  void FoldIfDone(uint32_t pair) {
    std::vector<TileResult>& tiles = tiles_[pair];
    if (NeedsMeasuring(pairs_[pair], tiles)) return;
    std::vector<TileResult> whole(1);
    whole[0] = FoldTiles(tiles);
    tiles = std::move(whole);
  }

  ComparisonReport Report() {
    const auto side = [](const ComparedCheckpoint& checkpoint) {
      return ComparedSide{.path = checkpoint.path.string(),
                          .tensors = checkpoint.tensors.size(),
                          .bytes = checkpoint.checkpoint.payload_bytes()};
    };
    ComparisonReport report;
    report.a = side(a_);
    report.b = side(b_);
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const LogicalTensor& tensor = *match_.pairs[i].a;
      TensorComparison& comparison = report.tensors.emplace_back();
      comparison.name = tensor.name;
      comparison.place = PlaceOf(a_.spec, tensor.name);
      comparison.stored_a = pairs_[i].a->parts[0]->info.Describe();
      comparison.stored_b = pairs_[i].b->parts[0]->info.Describe();
      // A pair without bytes has had no tiles.
      const TileResult whole = FoldTiles(tiles_[i]);
      JudgeTensor(pairs_[i], whole, options_.gates, comparison);
    }
    report.unmatched = std::move(match_.unmatched);
    report.config_faults = FindConfigFaults(a_, b_);
    ConcludeReport(options_.gates, report);
    return report;
  }

  bool Stopped() const { return options_.signal != nullptr && *options_.signal != 0; }

  const ComparedCheckpoint &a_, &b_;
  const CompareOptions& options_;
  WorkCounters& counters_;
  TensorMatch match_;
  std::vector<TilePair> pairs_;                 // of match_.pairs
  std::vector<std::vector<TileResult>> tiles_;  // of pairs_; one when folded
  std::vector<std::atomic<uint32_t>> open_;     // tiles of pairs_ that are not done
  size_t workers_ = 1;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::optional<std::pair<size_t, Error>> failure_;
};

}  // namespace

Result<ComparisonReport> CompareTensors(const std::filesystem::path& a,
                                        const std::filesystem::path& b,
                                        const CompareOptions& options, WorkCounters& counters) {
  TESSERA_ASSIGN(const ComparedCheckpoint side_a, ComparedCheckpoint::Open(a));
  TESSERA_ASSIGN(const ComparedCheckpoint side_b, ComparedCheckpoint::Open(b));
  return TensorCompare(side_a, side_b, options, counters).Run();
}

}  // namespace tessera
