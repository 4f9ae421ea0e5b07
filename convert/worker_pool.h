// Runs computations beside the I/O threads. oneTBB normally; plain threads in the thread-sanitizer
// build, because the packaged oneTBB is not instrumented.
#pragma once

#include <exception>
#include <functional>
#include <memory>

namespace tessera {

class WorkerPool {
 public:
  explicit WorkerPool(unsigned threads);
  ~WorkerPool();

  // Never blocks. Tasks must not throw and must not wait for one another.
  void Submit(std::function<void()> task);
  // Until every task submitted so far is done.
  void Wait();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether an exception says that the system gives no more threads; Submit may throw one, and the
// task may then still be run.
bool IsThreadShortage(const std::exception& error);

// Cores that this process may use (its affinity mask, not the machine's size).
unsigned AvailableCores();

}  // namespace tessera
