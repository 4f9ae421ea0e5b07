// One of the processes that share a command's work (of tessera-mpi). The first one, rank 0, deals
// out the steps, tells the result and completes the output.
#pragma once

#include <cstdint>
#include <mutex>

#include "cli/step_dealer.h"
#include "convert/plan.h"
#include "convert/step_queue.h"

namespace tessera::cli {

class RankJob : public StepQueue {
 public:
  uint32_t rank() const { return rank_; }
  uint32_t size() const { return size_; }

  // Of rank 0, before it runs: cuts the plan into what is dealt out.
  void Share(const Plan& plan);
  // Whether this failure is to be told: the first one is the job's.
  bool IsFirstFailure(int exit_code);
  // After this rank's last act. Waits for all others; gives the job's exit code.
  int End(int exit_code);

  Result<bool> Enter() override;
  StepRange Next(WorkCounters& counters) override;
  Result<bool> Leave(WorkCounters& counters, Execution& execution, const StopCheck& check) override;

 protected:
  RankJob(uint32_t rank, uint32_t size) : rank_(rank), size_(size), dealer_(size) {}

  // Of rank 0, for whoever asks.
  std::optional<Answer> Try(uint32_t rank, const Ask& ask);
  // Asks rank 0 from another one, and waits.
  virtual Answer AskFirst(const Ask& ask) = 0;

 private:
  Answer Get(const Ask& ask);
  // On rank 0 `counters` are made to tell what all have done.
  void AddOthers(WorkCounters& counters);

  const uint32_t rank_, size_;
  bool started_ = false;
  uint64_t done_before_ = 0;   // by former runs
  uint64_t others_added_ = 0;  // to rank 0's counters
  std::mutex mutex_;
  StepDealer dealer_;  // rank 0's
};

}  // namespace tessera::cli
