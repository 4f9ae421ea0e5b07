#include "convert/worker_pool.h"

#include <sched.h>

#include <algorithm>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#if defined(TESSERA_PLAIN_THREADS)
#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>
#else
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#endif

namespace tessera {

#if defined(TESSERA_PLAIN_THREADS)

struct WorkerPool::Impl {
  explicit Impl(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i) workers.emplace_back([this] { Work(); });
  }
  ~Impl() {
    {
      const std::scoped_lock lock(mutex);
      closed = true;
    }
    changed.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
  void Submit(std::function<void()> task) {
    {
      const std::scoped_lock lock(mutex);
      ++pending;
      tasks.push_back(std::move(task));
    }
    changed.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return pending == 0; });
  }
  void Work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return closed || !tasks.empty(); });
      if (tasks.empty()) return;
      const std::function<void()> task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task();
      lock.lock();
      if (--pending == 0) changed.notify_all();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> tasks;
  size_t pending = 0;
  bool closed = false;
  std::vector<std::thread> workers;
};

#else

struct WorkerPool::Impl {
  // One more than `threads`: the caller's own slot in the arena, which only Wait() uses.
  explicit Impl(unsigned threads)
      : limit(tbb::global_control::max_allowed_parallelism, threads + 1),
        arena(static_cast<int>(threads) + 1, 1) {}
  ~Impl() { Wait(); }
  void Submit(std::function<void()> task) { arena.enqueue(group.defer(std::move(task))); }
  void Wait() {
    arena.execute([this] { group.wait(); });
  }

  tbb::global_control limit;
  tbb::task_arena arena;
  tbb::task_group group;
};

#endif

WorkerPool::WorkerPool(unsigned threads) : impl_(std::make_unique<Impl>(std::max(1u, threads))) {}
WorkerPool::~WorkerPool() = default;
void WorkerPool::Submit(std::function<void()> task) { impl_->Submit(std::move(task)); }
void WorkerPool::Wait() { impl_->Wait(); }

bool IsThreadShortage(const std::exception& error) {
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (system != nullptr) return system->code() == std::errc::resource_unavailable_try_again;
  // What oneTBB throws carries the failed call's name alone.
  return std::string_view(error.what()).starts_with("pthread_create");
}

unsigned AvailableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return std::max(1u, static_cast<unsigned>(CPU_COUNT(&set)));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace tessera
