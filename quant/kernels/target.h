// Which SIMD targets this program has on this CPU, and running with one of them only. Output bytes
// do not depend on the choice; being able to make it is how that is tested.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "formats/result.h"

namespace tessera {

// "AVX2", "SSE4", ... as Highway spells it.
struct SimdTarget {
  int64_t bit;

  std::string_view name() const;
};

// Best first; the last one is plain code and always there.
std::vector<SimdTarget> SupportedTargets();

// Runs every kernel on one target from here on, in all threads. kUsage names what this CPU has.
Result<void> ForceSimdTarget(std::string_view name);

// The same within a scope; for tests. Scopes do not nest across threads.
class ScopedTarget {
 public:
  explicit ScopedTarget(SimdTarget target);
  ~ScopedTarget();
  ScopedTarget(const ScopedTarget&) = delete;
  ScopedTarget& operator=(const ScopedTarget&) = delete;

 private:
  int64_t before_;
};

}  // namespace tessera
