#include "quant/kernels/fp8_errors.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "quant/kernels/target.h"
#include "quant/rounding_error.h"

namespace tessera {
namespace {

TEST(Fp8Errors, EveryCodeInEveryTailHasTheErrorOfItsInterval) {
  const RoundingErrors errors(4, 3, RoundingErrors::TopExponent::kNumbers);
  std::vector<uint8_t> codes(256);
  std::iota(codes.begin(), codes.end(), uint8_t{0});
  for (const SimdTarget target : SupportedTargets()) {
    const ScopedTarget use(target);
    for (size_t begin = 0; begin < codes.size(); ++begin) {
      std::vector<float> found(codes.size() - begin, -1.0f);
      kernels::ExpectE4m3Errors(codes.data() + begin, found.size(),
                                {errors.Of(0x10), errors.Of(0x09)}, 3.7f, found.data());
      for (size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(found[i], errors.Of(codes[begin + i]) * 3.7f)
            << target.name() << " code " << begin + i;
      }
    }
  }
}

}  // namespace
}  // namespace tessera
