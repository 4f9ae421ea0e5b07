#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace tessera::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kInterval = std::chrono::milliseconds(1000 / 6 + 1);
// Of lines that stay: more and more seldom, so that a log of hours is still one to read.
constexpr auto kFirstLine = std::chrono::milliseconds(1000), kLastLines = 64 * kFirstLine;
// The rate forgets with this time constant: long enough not to flicker, short enough to notice that
// the page cache is full.
constexpr double kMemorySeconds = 8;

std::string TimeText(double seconds) {
  const auto whole = static_cast<uint64_t>(std::ceil(seconds));
  if (whole < 100) return std::to_string(whole) + " s";
  const uint64_t minutes = (whole + 59) / 60;
  if (minutes < 100) return std::to_string(minutes) + " min";
  return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

// Bytes a second over the recent past, from cumulative counts.
class Rate {
 public:
  explicit Rate(uint64_t done) : last_(done) {}

  double Update(uint64_t done, double seconds) {
    const double now = static_cast<double>(done - last_) / seconds;
    // The first samples weigh more, so that the line does not crawl up from zero.
    elapsed_ += seconds;
    const double weight = std::max(seconds / elapsed_, 1 - std::exp(-seconds / kMemorySeconds));
    rate_ += weight * (now - rate_);
    last_ = done;
    return rate_;
  }

 private:
  uint64_t last_;
  double rate_ = 0, elapsed_ = 0;
};

}  // namespace

std::string ProgressText(std::string_view verb, uint64_t done, uint64_t total, double rate) {
  std::string text = std::string(verb) + "  " + HumanBytes(done);
  if (total > 0) {
    char share[16];
    // Rounded down: 100% means done.
    const double percent = 100.0 * static_cast<double>(done) / static_cast<double>(total);
    std::snprintf(share, sizeof share, "%.1f%%", std::floor(percent * 10) / 10);
    text += " of " + HumanBytes(total) + "  " + share;
  }
  if (rate >= 1) {
    text += "  " + HumanBytes(static_cast<uint64_t>(rate)) + "/s";
    if (total > done) text += "  " + TimeText(static_cast<double>(total - done) / rate) + " left";
  }
  return text;
}

ProgressLine::ProgressLine(const Terminal& terminal, std::string verb, const WorkCounters& counters)
    : verb_(std::move(verb)), lines_(!terminal.stderr_is_terminal()), counters_(counters) {
  if ((terminal.stderr_is_terminal() || terminal.progress_in_log) && !terminal.quiet) {
    thread_ = std::thread([this] { Run(); });
  }
}

ProgressLine::~ProgressLine() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ProgressLine::Run() {
  Rate rate(counters_.done_bytes);
  Clock::time_point before = Clock::now();
  std::chrono::milliseconds interval = lines_ ? kFirstLine : kInterval;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval, [this] { return stop_; })) {
    const Clock::time_point now = Clock::now();
    const uint64_t done = counters_.done_bytes;
    const double speed = rate.Update(done, std::chrono::duration<double>(now - before).count());
    before = now;
    const std::string text = ProgressText(verb_, done, counters_.total_bytes, speed);
    std::fprintf(stderr, lines_ ? "%s\n" : "\r\033[K%s", text.c_str());
    std::fflush(stderr);
    if (lines_) interval = std::min(2 * interval, kLastLines);
  }
  if (lines_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
}

}  // namespace tessera::cli
