// What the first of several processes decides for all of them: who goes ahead, who makes which
// steps, whose failure is told, and when the job is over. It knows nothing of how they talk, and
// never waits: a question whose answer is not known yet is asked again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tessera::cli {

enum class Question : uint64_t {
  kEnter,  // may I open the output? {1 or 0}
  kNext,   // having done `a` bytes, which steps now? {begin, end}
  kFail,   // I failed with exit code `a`: am I the first? {1 or 0}
  kLeave,  // all my steps are done; I read `a` and wrote `b` bytes. {1 for who completes the
           // output}
  kEnd,    // I end with exit code `a`: how does the job? {exit code}
};

// As they travel.
struct Ask {
  Question question;
  uint64_t a = 0, b = 0;
};
struct Answer {
  uint64_t a = 0, b = 0;

  friend bool operator==(const Answer&, const Answer&) = default;
};

class StepDealer {
 public:
  explicit StepDealer(uint32_t size) : ranks_(size) {}

  // Where each unit of steps begins, and where the last one ends; before rank 0 asks for steps.
  void SetUnits(std::vector<size_t> cuts) { cuts_ = std::move(cuts); }

  // nullopt: not yet.
  std::optional<Answer> Try(uint32_t rank, const Ask& ask);

  bool failed() const { return failure_ != 0; }
  // Of all ranks but the first.
  uint64_t others_done() const;
  uint64_t others_read() const;
  uint64_t others_written() const;

 private:
  struct Rank {
    bool asked = false, ended = false;
    uint64_t done = 0, read = 0, written = 0;
  };

  std::optional<Answer> TryNext(Rank& rank);
  bool AllOthersEnded() const;

  std::vector<Rank> ranks_;
  std::vector<size_t> cuts_;
  size_t next_ = 0;  // unit
  uint64_t failure_ = 0, result_ = 0;
};

}  // namespace tessera::cli
