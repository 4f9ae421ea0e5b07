// Loops over independent pieces on a bounded number of threads. Pieces are cut by the caller, never
// by the number of threads, so that results do not depend on it. oneTBB normally; plain threads in
// the thread-sanitizer build, because the packaged oneTBB is not instrumented.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <memory>

#include "formats/result.h"

namespace tessera {

// As many as the scheduler chooses: the cores that this process may use.
unsigned DefaultThreads();

class Threads {
 public:
  // `count` 0: DefaultThreads(). Never more than `limit`.
  explicit Threads(unsigned count, unsigned limit = std::numeric_limits<unsigned>::max());
  ~Threads();

  // Calls `piece` for 0 to n - 1. May be called from within a piece; a piece that does so may be
  // interrupted by other pieces of its own thread, so it must hold no thread_local state meanwhile.
  void ForEach(size_t n, const std::function<void(size_t)>& piece) const;
  // The same for pieces that can fail: all run, and the failure of the smallest is returned.
  Result<void> TryForEach(size_t n, const std::function<Result<void>(size_t)>& piece) const;

  unsigned count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera
