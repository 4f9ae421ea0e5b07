#include "quant/kernels/target.h"

#include <hwy/highway.h>

#include <atomic>
#include <string>

#include "formats/json.h"

namespace tessera {
namespace {

std::atomic<int64_t> forced_bits = 0;  // 0: the best there is

int64_t Use(int64_t bits) {
  const int64_t before = forced_bits.exchange(bits);
  hwy::GetChosenTarget().Update(bits == 0 ? hwy::SupportedTargets() : bits);
  return before;
}

}  // namespace

std::string_view SimdTarget::name() const { return hwy::TargetName(bit); }

std::vector<SimdTarget> SupportedTargets() {
  std::vector<SimdTarget> targets;
  // Detection does not list the plain target, but dispatch always falls back on it.
  int64_t bits = (hwy::SupportedTargets() | HWY_SCALAR | HWY_EMU128) & HWY_TARGETS;
  for (; bits != 0; bits &= bits - 1) targets.push_back({bits & -bits});
  return targets;
}

Result<void> ForceSimdTarget(std::string_view name) {
  std::string known;
  for (const SimdTarget target : SupportedTargets()) {
    if (target.name() == name) {
      Use(target.bit);
      return {};
    }
    known.append(known.empty() ? "one of " : ", ").append(target.name());
  }
  return Fail(Error(ErrorCode::kUsage, "this CPU, or this build, has no such SIMD target")
                  .Expected(known)
                  .Found(QuoteJson(name))
                  .Next("Leave TESSERA_SIMD unset to use the best one."));
}

ScopedTarget::ScopedTarget(SimdTarget target) : before_(Use(target.bit)) {}
ScopedTarget::~ScopedTarget() { Use(before_); }

}  // namespace tessera
