// What stages hand one another: a queue, or a pile from which the newest is taken first. Its
// capacity is set once, so that pushing never allocates and cannot fail.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "formats/result.h"

namespace tessera {

enum class Order : uint8_t { kOldestFirst, kNewestFirst };

template <class T, Order order = Order::kOldestFirst>
class Channel {
 public:
  // Before the first use. What is in flight must never be more than this.
  void Reserve(size_t capacity) { items_.resize(capacity); }

  void Push(T item) {
    {
      const std::scoped_lock lock(mutex_);
      TESSERA_CHECK(size_ < items_.size());
      items_[(first_ + size_++) % items_.size()] = item;
    }
    ready_.notify_one();
  }

  // Waits for an item; nullopt once the channel is closed and empty.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return closed_ || size_ != 0; });
    if (size_ == 0) return std::nullopt;
    --size_;
    if constexpr (order == Order::kNewestFirst) return items_[(first_ + size_) % items_.size()];
    const T item = items_[first_];
    first_ = (first_ + 1) % items_.size();
    return item;
  }

  // Nothing will be pushed any more.
  void Close() {
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> items_;  // a ring
  size_t first_ = 0, size_ = 0;
  bool closed_ = false;
};

}  // namespace tessera
