// Wrong on purpose: a sanitizer that does not report these faults proves nothing elsewhere.
#include <barrier>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "convert/worker_pool.h"
#include "verify/parallel.h"

namespace {

// Two threads at once, whatever order they are started in.
class Together {
 public:
  explicit Together(std::function<void()> work) : work_(std::move(work)) {}
  void operator()() {
    both_.arrive_and_wait();
    work_();
  }

 private:
  std::barrier<> both_{2};
  std::function<void()> work_;
};

void OnWorkers(std::function<void()> work) {
  Together together(std::move(work));
  tessera::WorkerPool workers(2);
  for (int i = 0; i < 2; ++i) workers.Submit([&] { together(); });
  workers.Wait();
}

void OnThreads(std::function<void()> work) {
  Together together(std::move(work));
  tessera::Threads(2, 2).ForEach(2, [&](size_t) { together(); });
}

void ReadBeyond() {
  const std::vector<uint32_t> values(4);
  const volatile size_t beyond = values.size();
  std::printf("%u\n", values.data()[beyond]);
}

void Overflow() {
  volatile int largest = std::numeric_limits<int>::max();
  std::printf("%d\n", largest + 1);
}

}  // namespace

int main(int argc, char** argv) {
  int shared = 0;
  std::mutex mutex;
  const auto unlocked = [&] { ++shared; };
  const auto locked = [&] {
    const std::scoped_lock lock(mutex);
    ++shared;
  };
  const std::map<std::string, std::function<void()>> faults = {
      {"race-of-workers", [&] { OnWorkers(unlocked); }},
      {"race-of-threads", [&] { OnThreads(unlocked); }},
      {"locked-workers", [&] { OnWorkers(locked); }},
      {"locked-threads", [&] { OnThreads(locked); }},
      {"read-beyond", ReadBeyond},
      {"overflow", Overflow},
  };
  const auto fault = faults.find(argc == 2 ? argv[1] : "");
  if (fault == faults.end()) return 2;
  fault->second();
  return 0;
}
