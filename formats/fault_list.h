// Faults in the order they are found, at most `limit` of them: one to fail with, or all to report.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "formats/result.h"

namespace tessera {

class FaultList {
 public:
  explicit FaultList(size_t limit) : limit_(std::max<size_t>(limit, 1)) {}

  void Add(Error fault) {
    if (!full()) faults_.push_back(std::move(fault));
  }
  // Nothing more would be kept, so looking further is wasted.
  bool full() const { return faults_.size() >= limit_; }
  bool empty() const { return faults_.empty(); }
  std::vector<Error> Take() && { return std::move(faults_); }

 private:
  size_t limit_;
  std::vector<Error> faults_;
};

}  // namespace tessera
