#include "cli/rank_job.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "convert/executor.h"

namespace tessera::cli {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(1);
// Units are small, so that ranks end together, but not so small that they would write a shard in
// small pieces each.
constexpr uint64_t kUnitsPerRank = 64;
constexpr uint64_t kUnitBytes = uint64_t{128} << 20;  // of output

// Ends this rank's run; what is told is the other one's error.
std::unexpected<Error> FailWithAnother() {
  return Fail(ErrorCode::kInterrupted, "another rank failed");
}

}  // namespace

void RankJob::Share(const Plan& plan) {
  const uint64_t units =
      std::clamp(plan.payload_bytes / kUnitBytes, uint64_t{size_}, kUnitsPerRank * size_);
  const std::scoped_lock lock(mutex_);
  dealer_.SetUnits(CutSteps(plan, static_cast<uint32_t>(units)));
}

bool RankJob::IsFirstFailure(int exit_code) {
  return Get({Question::kFail, static_cast<uint64_t>(exit_code)}).a != 0;
}

int RankJob::End(int exit_code) {
  return static_cast<int>(Get({Question::kEnd, static_cast<uint64_t>(exit_code)}).a);
}

Result<bool> RankJob::Enter() {
  const bool may = Get({Question::kEnter}).a != 0;
  if (!may && rank_ == 0) return FailWithAnother();
  return may;
}

StepRange RankJob::Next(WorkCounters& counters) {
  if (!started_) done_before_ = counters.done_bytes;
  started_ = true;
  const Answer steps = Get({Question::kNext, counters.done_bytes - done_before_});
  AddOthers(counters);
  return {steps.a, steps.b};
}

Result<bool> RankJob::Leave(WorkCounters& counters, Execution& execution, const StopCheck& check) {
  const Ask ask{Question::kLeave, execution.read_bytes, execution.written_bytes};
  if (rank_ != 0) return Get(ask).a != 0;
  std::optional<Answer> answer;
  while (!(answer = Try(0, ask))) {
    TESSERA_TRY(check());
    AddOthers(counters);
    std::this_thread::sleep_for(kPatience);
  }
  if (answer->a == 0) return FailWithAnother();
  execution.read_bytes += dealer_.others_read();
  execution.written_bytes += dealer_.others_written();
  return true;
}

std::optional<Answer> RankJob::Try(uint32_t rank, const Ask& ask) {
  const std::scoped_lock lock(mutex_);
  return dealer_.Try(rank, ask);
}

Answer RankJob::Get(const Ask& ask) {
  if (rank_ != 0) return AskFirst(ask);
  std::optional<Answer> answer;
  while (!(answer = Try(0, ask))) std::this_thread::sleep_for(kPatience);
  return *answer;
}

void RankJob::AddOthers(WorkCounters& counters) {
  if (rank_ != 0) return;
  const std::scoped_lock lock(mutex_);
  const uint64_t done = dealer_.others_done();
  counters.done_bytes += done - others_added_;
  others_added_ = done;
}

}  // namespace tessera::cli
