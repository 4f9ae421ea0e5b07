// Loops over independent pieces on a bounded number of threads. Pieces are cut by the caller, never
// by the number of threads, so that results do not depend on it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "formats/result.h"

namespace tessera {

class Threads {
 public:
  // `count` 0: the scheduler's choice. Never more than `limit`.
  Threads(unsigned count, unsigned limit);
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
