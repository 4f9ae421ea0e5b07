// One line on stderr that tells how far a long job has come.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "cli/terminal.h"
#include "formats/work_counters.h"

namespace tessera::cli {

// "cast   12.3 GB of 688.6 GB    1.8%   412.0 MB/s   27 min left": pure, so that it can be tested.
// `rate` is in bytes a second; 0 when not known yet.
std::string ProgressText(std::string_view verb, uint64_t done, uint64_t total, double rate);

// Shows the counters until destroyed, at most six times a second, and leaves an empty line behind.
// Where stderr is no terminal: nothing, or, if the Terminal says so, now and then a line that
// stays. Silent under -q. Borrows `counters`.
class ProgressLine {
 public:
  ProgressLine(const Terminal& terminal, std::string verb, const WorkCounters& counters);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

 private:
  void Run();

  const std::string verb_;
  const bool lines_;
  const WorkCounters& counters_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;  // not started where nothing is shown
};

}  // namespace tessera::cli
