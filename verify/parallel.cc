#include "verify/parallel.h"

#include <algorithm>
#include <utility>
#include <vector>

#if defined(TESSERA_PLAIN_THREADS)
#include <atomic>
#include <thread>
#else
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#endif

namespace tessera {

#if defined(TESSERA_PLAIN_THREADS)

unsigned DefaultThreads() { return std::max(1u, std::thread::hardware_concurrency()); }

struct Threads::Impl {
  explicit Impl(unsigned count) : threads(count) {}

  void ForEach(size_t n, const std::function<void(size_t)>& piece) const {
    thread_local bool within_piece = false;
    std::atomic<size_t> next = 0;
    const auto work = [&] {
      const bool outer = std::exchange(within_piece, true);
      for (size_t i = next++; i < n; i = next++) piece(i);
      within_piece = outer;
    };
    std::vector<std::thread> others;
    // Within a piece all threads are busy already.
    for (size_t i = 1; !within_piece && i < std::min<size_t>(threads, n); ++i) {
      others.emplace_back(work);
    }
    work();
    for (std::thread& thread : others) thread.join();
  }

  unsigned threads;
};

#else

unsigned DefaultThreads() { return static_cast<unsigned>(tbb::info::default_concurrency()); }

// Without the limit oneTBB complains on stderr when asked for more threads than cores.
struct Threads::Impl {
  explicit Impl(unsigned count)
      : threads(count),
        limit(tbb::global_control::max_allowed_parallelism, count),
        arena(static_cast<int>(count)) {}

  void ForEach(size_t n, const std::function<void(size_t)>& piece) {
    arena.execute([&] { tbb::parallel_for(size_t{0}, n, piece, tbb::simple_partitioner()); });
  }

  unsigned threads;
  tbb::global_control limit;
  tbb::task_arena arena;
};

#endif

Threads::Threads(unsigned count, unsigned limit)
    : impl_(std::make_unique<Impl>(
          std::clamp(count == 0 ? DefaultThreads() : count, 1u, std::max(1u, limit)))) {}
Threads::~Threads() = default;

void Threads::ForEach(size_t n, const std::function<void(size_t)>& piece) const {
  impl_->ForEach(n, piece);
}

Result<void> Threads::TryForEach(size_t n, const std::function<Result<void>(size_t)>& piece) const {
  std::vector<Result<void>> results(n);
  ForEach(n, [&](size_t i) { results[i] = piece(i); });
  for (Result<void>& result : results) {
    if (!result) return result;
  }
  return {};
}

unsigned Threads::count() const { return impl_->threads; }

}  // namespace tessera
