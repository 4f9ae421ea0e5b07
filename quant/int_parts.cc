#include "quant/int_parts.h"

#include "quant/scheme_plain.h"

namespace tessera {

ByteRange ConstantBytes(uint64_t size, RowRange range) {
  return {range.begin == 0 ? 0 : size, size};
}

void ReadScales(Dtype dtype, std::span<const std::byte> in, std::span<float> out) {
  TESSERA_CHECK(in.size() == out.size() * (BitsOf(dtype) / 8));
  PlainToF32(dtype, in.data(), out.size(), out.data());
}

void WriteScales(Dtype dtype, std::span<const float> in, std::span<std::byte> out) {
  TESSERA_CHECK(out.size() == in.size() * (BitsOf(dtype) / 8));
  ValueStats ignored;
  PlainToPlain(Dtype::kF32, reinterpret_cast<const std::byte*>(in.data()), in.size(),
               PlainFloatScheme(dtype, false), out.data(), ignored);
}

}  // namespace tessera
