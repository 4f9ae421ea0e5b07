#include "convert/executor.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "convert/channel.h"
#include "convert/committer.h"
#include "convert/output_files.h"
#include "convert/slots.h"
#include "convert/step_queue.h"
#include "convert/worker_pool.h"
#include "quant/contradiction.h"
#include "quant/repack.h"
#include "quant/scheme_ggml.h"

namespace tessera {
namespace {

constexpr size_t kOpenOutputs = 16;
// Keeps the failure of the smallest tile, so that which one is reported does not depend on timing:
// tiles are issued in order, and those issued before a failure are finished.
class FirstFailure {
 public:
  void Report(uint64_t tile, Error error) {
    const std::scoped_lock lock(mutex_);
    if (!error_ || tile < tile_) {
      tile_ = tile;
      error_ = std::move(error);
    }
    any_ = true;
  }
  void Stop() { any_ = true; }
  bool any() const { return any_; }
  std::optional<Error> Take() { return std::move(error_); }

 private:
  std::mutex mutex_;
  uint64_t tile_ = 0;
  std::optional<Error> error_;
  std::atomic<bool> any_ = false;
};

// What went wrong where no Result can say so.
Error Caught(const std::exception& e) {
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) {
    return Error(ErrorCode::kMemoryBudget, "memory ran out")
        .Next("give less with --memory or --threads");
  }
  if (IsThreadShortage(e)) {
    return Error(ErrorCode::kMemoryBudget, "threads cannot be started: " + std::string(e.what()))
        .Next("give less with --threads, or raise the limit");
  }
  return Error(ErrorCode::kInternal, e.what());
}

class Executor {
 public:
  Executor(const Plan& plan, const RunOptions& options, OutputFolders* out, WorkCounters& counters)
      : plan_(plan),
        options_(options),
        out_(out),
        counters_(counters),
        queue_(out != nullptr && out->alone() ? nullptr : options.queue),
        share_(queue_ != nullptr || (out != nullptr && out->alone())
                   ? StepRange{0, plan.steps.size()}
                   : StepsOf(plan, options.part)),
        given_(queue_ != nullptr ? StepRange{} : share_),
        next_step_(given_.begin) {
    result_.digests.resize(plan.digests);
    stats_.resize(plan.tiles);
    done_.assign(plan.tiles, false);
  }

  Result<Execution> Run() {
    TESSERA_ASSIGN(const Buffers buffers, PlanBuffers(plan_, options_));
    TESSERA_TRY(Allocate(buffers));
    if (out_ != nullptr) TESSERA_TRY(Resume());
    CountProgress();
    try {
      RunStages();
    } catch (const std::exception& e) {
      failure_.Report(plan_.tiles, Caught(e));
    }
    if (committer_) {
      // A failed commit stops the writers, so their failures, if any, are its consequences.
      std::optional<Error> failure =
          options_.Stopped() ? committer_->FinishSoon() : committer_->Finish();
      if (failure) return Fail(*std::move(failure));
    }
    if (std::optional<Error> failure = failure_.Take()) return Fail(*std::move(failure));
    TESSERA_TRY(options_.CheckStop());
    for (const auto& source : plan_.sources) TESSERA_TRY(source->CheckUnchanged());
    SumStats();
    result_.read_bytes = read_bytes_;
    result_.written_bytes = written_bytes_;
    return std::move(result_);
  }

 private:
  Result<void> Allocate(const Buffers& buffers) {
    slots_.resize(buffers.slots);
    free_.Reserve(buffers.slots);
    computed_.Reserve(buffers.slots);
    slot_bytes_ = buffers.slot_bytes;
    packers_ = buffers.packers;
    reserve_.Set(buffers.reserve);
    for (Slot& slot : slots_) {
      TESSERA_ASSIGN(slot.buffer, Buffer::Allocate(buffers.slot_bytes));
      free_.Push(&slot);
    }
    return {};
  }

  // Gives the slot what its tile needs beyond its own buffer. One reader at a time: the reserve is
  // then handed out in the order of tiles.
  Result<void> Enlarge(Slot& slot) {
    const uint64_t bytes = SlotBytes(*slot.step);
    if (bytes <= slot_bytes_) return {};
    reserve_.Take(bytes);
    slot.large_bytes = bytes;
    TESSERA_ASSIGN(slot.large, Buffer::Allocate(bytes));
    return {};
  }

  void Recycle(Slot& slot) {
    if (slot.large_bytes != 0) {
      slot.large = Buffer();
      reserve_.Return(std::exchange(slot.large_bytes, 0));
    }
    free_.Push(&slot);
  }

  // Takes over what the journals record, as far as the files are still there.
  Result<void> Resume() {
    output_.emplace(plan_, options_, *out_, kOpenOutputs, packers_);
    // Before the journals are read: a file that another part publishes between has its records.
    for (uint32_t file = 0; file < plan_.files.size(); ++file) {
      state_.push_back(output_->Look(file));
    }
    TESSERA_TRY(TakeRecords());
    std::vector<FileWork> work(plan_.files.size());
    for (const Step& step : plan_.steps) {
      const bool ours = Shares(static_cast<size_t>(&step - plan_.steps.data()));
      for (const Destination& d : step.destinations) {
        for (uint64_t tile = d.first_tile; tile < d.first_tile + d.tiles; ++tile) {
          work[FileOf(d)].Add(done_[step.first_tile + tile], ours);
        }
      }
    }
    TESSERA_ASSIGN(std::vector<uint64_t> left, PublishFound(work));
    CountResumedSteps();
    committer_.emplace(out_->journal(), *output_, std::move(left));
    return {};
  }

  // Tiles of one file that are not done, in all and in this run's share of the plan; and whether
  // it has any tiles in that share or in others.
  struct FileWork {
    uint64_t left = 0, left_here = 0;
    bool here = false, elsewhere = false;

    void Add(bool done, bool ours) {
      left += done ? 0 : 1;
      left_here += !done && ours ? 1 : 0;
      (ours ? here : elsewhere) = true;
    }
  };

  // Brings every file that former runs left to where it belongs. Of each, how many tiles are to be
  // made before this run publishes it; one that other parts work on too is left to the sealing.
  Result<std::vector<uint64_t>> PublishFound(const std::vector<FileWork>& work) {
    std::vector<uint64_t> left(work.size());
    const bool all = std::ranges::all_of(work, [](const FileWork& w) { return w.left == 0; });
    // Backwards: the first one may have to come last.
    for (auto file = static_cast<uint32_t>(work.size()); file-- > 0;) {
      const FileWork& w = work[file];
      const bool last = output_->comes_last(file);
      const bool publishes =
          out_->alone() || (queue_ == nullptr && w.here && !w.elsewhere && !last);
      if (publishes) TESSERA_TRY(output_->CheckOneName(file));
      const bool published = state_[file] == OutputFiles::State::kPublished;
      const bool whole = w.left == 0 && (all || !last);
      if (whole && publishes && !published) TESSERA_TRY(output_->Publish(file));
      if (!whole && (w.left_here != 0 || out_->alone())) TESSERA_TRY(output_->Withdraw(file));
      left[file] = publishes ? w.left_here : UINT64_MAX;
    }
    return left;
  }

  Result<void> TakeRecords() {
    TESSERA_ASSIGN(const OutputFolders::Records records, out_->ReadRecords());
    std::vector<TileRecord> good;
    bool lost = false;
    const auto take = [&](const std::vector<TileRecord>& from) -> size_t {
      const size_t before = good.size();
      for (const TileRecord& record : from) {
        if (record.tile >= plan_.tiles || !Holds(record)) continue;
        good.push_back(record);
        if (done_[record.tile]) continue;
        done_[record.tile] = true;
        Keep(StepOf(record.tile), record);
      }
      return from.size() - (good.size() - before);
    };
    lost = take(records.own) != 0;
    const size_t of_own = good.size();
    if (take(records.others) != 0) {
      if (!out_->alone()) {
        return Fail(Error(ErrorCode::kDamagedJournal,
                          "a file that another part has written to is gone, or not what it was")
                        .In(out_->dir(0).path().string())
                        .Next("finish it by the same command without --part"));
      }
      lost = true;
    }
    if (!lost) return {};
    // A record of what is lost must not come true again once its file is back.
    return out_->Keep(std::span(good).first(out_->alone() ? good.size() : of_own));
  }

  // Whether the files that a record speaks of are still there.
  bool Holds(const TileRecord& record) {
    const Step& step = StepOf(record.tile);
    size_t shares = 0;
    bool there = true;
    ForDestinations(step, record.tile - step.first_tile, [&](const Destination& d) {
      ++shares;
      OutputFiles::State& state = state_[FileOf(d)];
      // Another part may just have made it.
      if (state == OutputFiles::State::kAbsent) state = output_->Look(FileOf(d));
      there = there && state != OutputFiles::State::kAbsent;
    });
    return there && record.digests.size() == shares;
  }

  bool Shares(size_t step) const { return step >= share_.begin && step < share_.end; }
  std::span<const Step> Share() const {
    return std::span(plan_.steps).subspan(share_.begin, share_.end - share_.begin);
  }

  void CountResumedSteps() {
    for (const Step& step : Share()) {
      const auto begin = done_.begin() + static_cast<ptrdiff_t>(step.first_tile);
      const auto end = begin + static_cast<ptrdiff_t>(step.tiles());
      if (begin != end && std::find(begin, end, false) == end) ++result_.resumed_steps;
    }
  }

  // In the order of tiles: sums of fractions depend on it, and they reach the manifest.
  void SumStats() {
    for (const Step& step : plan_.steps) {
      ValueStats& sum = result_.stats.emplace_back();
      for (uint64_t tile = 0; tile < step.tiles(); ++tile) sum += stats_[step.first_tile + tile];
    }
  }

  void CountProgress() {
    uint64_t total = 0, resumed = 0;
    for (const Step& step : Share()) {
      for (uint64_t tile = 0; tile < step.tiles(); ++tile) {
        const RowRange rows = step.TileRows(tile);
        const TileShape shape = ShapeOfTile(step, rows);
        uint64_t bytes = 0;
        for (const Destination& d : step.destinations) {
          if (const auto place = PlaceInDestination(step, d, rows, shape)) bytes += place->size();
        }
        total += bytes;
        if (done_[step.first_tile + tile]) resumed += bytes;
      }
    }
    counters_.total_bytes = total;
    counters_.done_bytes = resumed;
  }

  void RunStages() {
    const unsigned threads = options_.threads == 0 ? AvailableCores() : options_.threads;
    WorkerPool pool(threads);
    std::vector<std::jthread> readers, writers;
    // Whatever happens below, the stages come to their ends before the threads are joined.
    struct Closer {
      Executor& executor;
      ~Closer() {
        executor.free_.Close();
        executor.computed_.Close();
      }
    } const closer{*this};
    for (unsigned i = 0; i < kIoThreads; ++i) {
      readers.emplace_back([this, &pool] { ReadTiles(pool); });
      writers.emplace_back([this] { WriteTiles(); });
    }
    for (std::jthread& reader : readers) reader.join();
    pool.Wait();
    computed_.Close();
    for (std::jthread& writer : writers) writer.join();
  }

  // Runs one stage's work on one tile; whatever goes wrong is reported under the tile's number.
  // Memory may run out anywhere, so exceptions end here instead of on a thread that nobody watches.
  template <class Work>
  bool Try(const Slot& slot, Work work) {
    try {
      Result<void> done = work();
      if (done) return true;
      failure_.Report(slot.number(), std::move(done).error());
    } catch (const std::exception& e) {
      failure_.Report(slot.number(), Caught(e));
    }
    return false;
  }

  // Stage 1.
  void ReadTiles(WorkerPool& pool) {
    while (!options_.Stopped() && !failure_.any()) {
      const std::optional<Slot*> taken = free_.Pop();
      if (!taken) return;
      Slot* const slot = *taken;
      Result<void> enlarged;
      bool submitted = false;
      const auto submit = [&]() -> Result<void> {
        TESSERA_TRY(enlarged);
        TESSERA_TRY(Read(*slot));
        submitted = true;
        pool.Submit([this, slot] {
          Try(*slot, [&] { return Compute(*slot); });
          computed_.Push(slot);
        });
        return {};
      };
      if (!NextTile(*slot, enlarged) || !Try(*slot, submit)) {
        // A task that was submitted may still be run: its slot is nobody's, and nobody waits for
        // it.
        submitted ? free_.Close() : Recycle(*slot);
        return;
      }
    }
  }

  bool NextTile(Slot& slot, Result<void>& enlarged) {
    const std::scoped_lock lock(next_mutex_);
    do {
      for (; next_step_ < given_.end; ++next_step_, next_tile_ = 0) {
        const Step& step = plan_.steps[next_step_];
        for (; next_tile_ < step.tiles(); ++next_tile_) {
          if (done_[step.first_tile + next_tile_]) continue;
          slot.step = &step;
          slot.tile = next_tile_++;
          slot.rows = step.TileRows(slot.tile);
          slot.good = false;
          slot.record = {.tile = slot.number(), .stats = {}, .digests = {}};
          enlarged = Enlarge(slot);
          return true;
        }
      }
    } while (GetMoreSteps());
    return false;
  }

  bool GetMoreSteps() {
    if (queue_ == nullptr) return false;
    given_ = queue_->Next(counters_);
    next_step_ = given_.begin;
    return given_.begin != given_.end;
  }

  Result<void> Read(Slot& slot) {
    const Step& step = *slot.step;
    const TileShape shape = ShapeOfTile(step, slot.rows);
    DivideSlot(slot, shape);
    const auto read = [&](const SourceRef& ref, const ByteRange& range, std::span<std::byte> into) {
      const Checkpoint& source = *plan_.sources[ref.checkpoint];
      read_bytes_ += range.size();
      return source.ReadBytes(source.tensors()[ref.tensor], range.begin, into);
    };
    for (size_t part = 0; part < step.sources.size(); ++part) {
      TESSERA_TRY(read(step.sources[part], shape.reads[part], slot.reads[part]));
    }
    for (const auto& [part, ref] : step.given) {
      TESSERA_TRY(read(ref, shape.writes[part], slot.writes[part]));
    }
    return ReadImportance(slot);
  }

  Result<void> ReadImportance(Slot& slot) const {
    slot.importance.clear();
    for (const ImportanceRef& ref : slot.step->importance) {
      std::vector<float>& columns = slot.importance.emplace_back();
      if (ref.entry == nullptr) continue;
      columns.resize(ref.count * ref.columns);
      for (uint64_t i = 0; i < ref.count; ++i) {
        TESSERA_TRY(
            plan_.importance->Read(*ref.entry, ref.first + i, ref.matrices,
                                   std::span(columns).subspan(i * ref.columns, ref.columns)));
      }
    }
    return {};
  }

  // Stage 2.
  Result<void> Compute(Slot& slot) {
    const Step& step = *slot.step;
    if (!step.is_copy()) {
      const std::vector<std::span<const std::byte>> source(slot.reads.begin(), slot.reads.end());
      if (step.repacks) {
        Repack(dynamic_cast<const IntScheme&>(*step.from), source,
               dynamic_cast<const IntScheme&>(*step.to), slot.writes, step.rows, step.cols,
               slot.rows, slot.record.stats);
      } else {
        std::unique_ptr<Scheme> weighed;
        if (!slot.importance.empty()) {
          const std::vector<std::span<const float>> importance(slot.importance.begin(),
                                                               slot.importance.end());
          weighed = dynamic_cast<const GgmlScheme&>(*step.to).Weighed(importance);
        }
        Transcode(*step.from, source, weighed ? *weighed : *step.to, slot.writes, step.rows,
                  step.cols, slot.rows, slot.record.stats);
      }
      TESSERA_TRY(Judge(slot));
    }
    CutOutputs(slot);
    for (const Output& output : slot.outputs) {
      // Replicated to every rank: hashed once.
      const bool repeated = !slot.record.digests.empty() && &output != slot.outputs.data() &&
                            output.data.data() == (&output)[-1].data.data();
      slot.record.digests.push_back(repeated ? slot.record.digests.back() : Xxh3(output.data));
    }
    slot.good = true;
    return {};
  }

  // Values that the target cannot hold are refused by name, never stored as something else.
  Result<void> Judge(const Slot& slot) const {
    const ValueStats& stats = slot.record.stats;
    const auto found = [&](uint64_t count) {
      return std::to_string(count) + " in rows " + std::to_string(slot.rows.begin) + " to " +
             std::to_string(slot.rows.end - 1);
    };
    if (stats.not_finite != 0) {
      return Fail(Error(ErrorCode::kNotFinite, "NaN or infinity, which the target cannot store")
                      .Of(SourceName(*slot.step))
                      .Found(found(stats.not_finite))
                      .Next("the source is damaged there: compare it with where it came from"));
    }
    if (stats.wrong_constants != 0) {
      const std::vector<std::span<const std::byte>> parts(slot.reads.begin(), slot.reads.end());
      return Fail(Contradiction(*slot.step->from, parts, slot.step->rows, slot.step->cols)
                      .Of(SourceName(*slot.step)));
    }
    if (stats.lossy_scales != 0) {
      return Fail(
          Error(ErrorCode::kUnsupported, "scales that the other layout's type does not hold")
              .Of(SourceName(*slot.step))
              .Found(found(stats.lossy_scales))
              .Next("repack-ct without --for keeps scales as they are; to round them, cast to bf16 "
                    "first and "
                    "quantize that (with --force, since this output is begun)"));
    }
    if (stats.infinite_scales != 0) {
      return Fail(Error(ErrorCode::kOverflowsF16, "values too large for a type with F16 scales")
                      .Of(SourceName(*slot.step))
                      .Expected("finite scales")
                      .Found(found(stats.infinite_scales))
                      .Next("give it a plain type: --tensor-type NAME=BF16 (and --force, since "
                            "this output is begun)"));
    }
    if (stats.f16_overflows != 0 && !plan_.saturate) {
      return Fail(Error(ErrorCode::kOverflowsF16, "values beyond F16's range")
                      .Of(SourceName(*slot.step))
                      .Expected("magnitudes of at most 65504")
                      .Found(found(stats.f16_overflows))
                      .Next(plan_.folders[0].file.empty()
                                ? "cast to bf16, or clip them with --saturate (and --force, since "
                                  "this output is begun)"
                                : "take BF16 (and --force, since this output is begun)"));
    }
    return {};
  }

  // Stage 3.
  void WriteTiles() {
    while (const std::optional<Slot*> taken = computed_.Pop()) {
      Slot& slot = **taken;
      // After a stop a tile is dropped: a resumed run makes it again. After a failure it is not, so
      // that every tile before the failing one ends up durable.
      if (slot.good && !options_.Stopped()) Try(slot, [&] { return Write(slot); });
      Recycle(slot);
    }
  }

  Result<void> Write(Slot& slot) {
    const Step& step = *slot.step;
    uint64_t bytes = 0;
    Committer::Written written{.record = std::move(slot.record), .files = {}, .bytes = 0};
    for (const Output& output : slot.outputs) {
      bytes += output.data.size();
      if (out_ == nullptr) continue;
      const PlanTensor& tensor = plan_.tensors[output.destination->tensor];
      TESSERA_ASSIGN(const std::shared_ptr<const File> file, output_->Get(tensor.file));
      const uint64_t at = tensor.offset + output.offset;
      TESSERA_TRY(file->WriteAt(at, output.data));
      file->StartWriteback(at, output.data.size());
      written.files.push_back(tensor.file);
    }
    written.bytes = bytes;
    {
      const std::scoped_lock lock(keep_mutex_);
      Keep(step, written.record);
    }
    if (out_ != nullptr) written_bytes_ += bytes;
    counters_.done_bytes += bytes;
    // Refused only after a failed commit, which is the failure to report.
    if (committer_ && !committer_->Add(std::move(written))) failure_.Stop();
    return {};
  }

  // The destinations that have a share in a tile, in order: what a record's digests belong to.
  template <class Visit>
  static void ForDestinations(const Step& step, uint64_t tile, Visit visit) {
    for (const Destination& d : step.destinations) {
      if (tile >= d.first_tile && tile < d.first_tile + d.tiles) visit(d);
    }
  }

  void Keep(const Step& step, const TileRecord& record) {
    const uint64_t tile = record.tile - step.first_tile;
    size_t i = 0;
    ForDestinations(step, tile, [&](const Destination& d) {
      result_.digests[d.first_digest + tile - d.first_tile] = record.digests[i++];
    });
    stats_[record.tile] = record.stats;
  }

  const Step& StepOf(uint64_t tile) const {
    return *(std::ranges::upper_bound(plan_.steps, tile, {}, &Step::first_tile) - 1);
  }
  uint32_t FileOf(const Destination& d) const { return plan_.tensors[d.tensor].file; }
  const std::string& SourceName(const Step& step) const {
    const SourceRef& ref = step.sources[0];
    return plan_.sources[ref.checkpoint]->tensors()[ref.tensor].info.name();
  }

  const Plan& plan_;
  const RunOptions& options_;
  OutputFolders* const out_;
  WorkCounters& counters_;
  StepQueue* const queue_;
  const StepRange share_;  // what this run makes, or may be given to make
  Execution result_;
  std::vector<bool> done_;         // by tile; read-only once the stages run
  std::vector<ValueStats> stats_;  // by tile

  uint64_t slot_bytes_ = 0;
  unsigned packers_ = 0;
  Reserve reserve_;
  std::vector<Slot> slots_;
  Channel<Slot*, Order::kNewestFirst> free_;  // the slot last used is the one still in cache
  Channel<Slot*> computed_;
  std::mutex next_mutex_, keep_mutex_;
  StepRange given_;  // those of share_ that are being read
  size_t next_step_;
  uint64_t next_tile_ = 0;
  std::atomic<uint64_t> read_bytes_ = 0, written_bytes_ = 0;
  FirstFailure failure_;
  std::optional<OutputFiles> output_;
  std::vector<OutputFiles::State> state_;  // by file, as Resume found it
  std::optional<Committer> committer_;
};

}  // namespace

Result<Execution> Execute(const Plan& plan, const RunOptions& options, OutputFolders* out,
                          WorkCounters& counters) {
  return Executor(plan, options, out, counters).Run();
}

}  // namespace tessera
