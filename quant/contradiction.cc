#include "quant/contradiction.h"

#include <cstring>
#include <string>
#include <vector>

namespace tessera {
namespace {

// Little-endian I32 or I64.
Shape ReadIntegers(Dtype dtype, std::span<const std::byte> bytes) {
  const size_t size = BitsOf(dtype) / 8;
  Shape numbers(bytes.size() / size);
  for (size_t i = 0; i < numbers.size(); ++i) std::memcpy(&numbers[i], &bytes[i * size], size);
  return numbers;
}

}  // namespace

Error Contradiction(const Scheme& scheme, std::span<const std::span<const std::byte>> parts,
                    uint64_t rows, uint64_t cols) {
  std::string others;
  const std::vector<PartSpec> specs = scheme.Parts(rows, cols);
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].suffix == ".weight_shape" && !parts[i].empty()) {
      const Shape shape = ReadIntegers(specs[i].dtype, parts[i]);
      if (shape == Shape{rows, cols}) continue;
      return Error(ErrorCode::kWrongShape, "weight_shape says " + ToString(shape) +
                                               ", the weight has " + ToString({rows, cols}))
          .Next("compare the checkpoint with where it came from");
    }
    if (i > 0) others += (others.empty() ? "" : ", ") + specs[i].suffix.substr(1);
  }
  return Error(ErrorCode::kWrongShape, "what lies beside the codes contradicts config.json")
      .Expected("zero points, offsets and column order as the configuration has them (" + others +
                ")")
      .Next("compare the checkpoint with where it came from");
}

}  // namespace tessera
