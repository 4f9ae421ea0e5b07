// How far a long job has come, for whoever shows it: written by the workers, polled by a display.
#pragma once

#include <atomic>
#include <cstdint>

namespace tessera {

struct WorkCounters {
  std::atomic<uint64_t> done_bytes{0};
  std::atomic<uint64_t> total_bytes{0};  // 0: not known yet
};

}  // namespace tessera
