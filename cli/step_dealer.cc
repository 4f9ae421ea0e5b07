#include "cli/step_dealer.h"

#include <algorithm>
#include <span>

namespace tessera::cli {

std::optional<Answer> StepDealer::Try(uint32_t rank, const Ask& ask) {
  Rank& own = ranks_[rank];
  const bool first = rank == 0;
  switch (ask.question) {
    case Question::kEnter:
      if (failed() || ranks_[0].ended) return Answer{0};
      return first || ranks_[0].asked ? std::optional(Answer{1}) : std::nullopt;
    case Question::kNext:
      own.done = ask.a;
      return TryNext(own);
    case Question::kFail:
      if (failed()) return Answer{0};
      failure_ = ask.a;
      return Answer{1};
    case Question::kLeave:
      own.read = ask.a;
      own.written = ask.b;
      if (!first || failed()) return Answer{0};
      return AllOthersEnded() ? std::optional(Answer{1}) : std::nullopt;
    case Question::kEnd:
      own.asked = own.ended = true;
      if (first) result_ = ask.a;
      // The first one's end is the job's, unless somebody failed.
      if (!ranks_[0].ended || !AllOthersEnded()) return std::nullopt;
      return Answer{failed() ? failure_ : result_};
  }
  return Answer{};
}

std::optional<Answer> StepDealer::TryNext(Rank& rank) {
  rank.asked = true;
  if (failed()) return Answer{};
  if (!std::ranges::all_of(ranks_, &Rank::asked)) return std::nullopt;
  // Units without steps are passed over: an empty answer means that all are dealt.
  while (next_ + 1 < cuts_.size() && cuts_[next_] == cuts_[next_ + 1]) ++next_;
  if (next_ + 1 >= cuts_.size()) return Answer{};
  const size_t unit = next_++;
  return Answer{cuts_[unit], cuts_[unit + 1]};
}

bool StepDealer::AllOthersEnded() const {
  return std::ranges::all_of(std::span(ranks_).subspan(1), &Rank::ended);
}

namespace {

template <class Ranks, class Member>
uint64_t SumOfOthers(const Ranks& ranks, Member member) {
  uint64_t sum = 0;
  for (const auto& rank : std::span(ranks).subspan(1)) sum += rank.*member;
  return sum;
}

}  // namespace

uint64_t StepDealer::others_done() const { return SumOfOthers(ranks_, &Rank::done); }
uint64_t StepDealer::others_read() const { return SumOfOthers(ranks_, &Rank::read); }
uint64_t StepDealer::others_written() const { return SumOfOthers(ranks_, &Rank::written); }

}  // namespace tessera::cli
