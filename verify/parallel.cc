#include "verify/parallel.h"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <vector>

namespace tessera {

// Without the limit oneTBB complains on stderr when asked for more threads than cores.
struct Threads::Impl {
  explicit Impl(int threads)
      : limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(threads)),
        arena(threads) {}

  tbb::global_control limit;
  tbb::task_arena arena;
};

Threads::Threads(unsigned count, unsigned limit)
    : impl_(std::make_unique<Impl>(
          std::min(count == 0 ? tbb::info::default_concurrency() : static_cast<int>(count),
                   static_cast<int>(limit)))) {}
Threads::~Threads() = default;

void Threads::ForEach(size_t n, const std::function<void(size_t)>& piece) const {
  impl_->arena.execute([&] { tbb::parallel_for(size_t{0}, n, piece, tbb::simple_partitioner()); });
}

Result<void> Threads::TryForEach(size_t n, const std::function<Result<void>(size_t)>& piece) const {
  std::vector<Result<void>> results(n);
  ForEach(n, [&](size_t i) { results[i] = piece(i); });
  for (Result<void>& result : results) {
    if (!result) return result;
  }
  return {};
}

unsigned Threads::count() const { return static_cast<unsigned>(impl_->arena.max_concurrency()); }

}  // namespace tessera
