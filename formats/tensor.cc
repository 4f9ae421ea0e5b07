#include "formats/tensor.h"

#include <algorithm>

namespace tessera {

std::string ToString(const Shape& shape) {
  std::string s = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) s += ", ";
    s += std::to_string(shape[i]);
  }
  return s + "]";
}

Result<TensorInfo> TensorInfo::Make(std::string name, Dtype dtype, Shape shape) {
  if (shape.size() > kMaxRank) {
    return Fail(Error(ErrorCode::kRankTooLarge, "a tensor has too many dimensions")
                    .Of(std::move(name))
                    .Expected("at most " + std::to_string(kMaxRank))
                    .Found(std::to_string(shape.size())));
  }
  for (const uint64_t dim : shape) {
    if (dim > kMaxDim) {
      return Fail(Error(ErrorCode::kBadShape, "a dimension is too large")
                      .Of(std::move(name))
                      .Expected("at most 2^48 - 1")
                      .Found(std::to_string(dim)));
    }
  }
  const DtypeInfo& type = Info(dtype);
  if (type.is_block() && (shape.empty() || shape.back() % type.block != 0)) {
    return Fail(Error(ErrorCode::kBadShape, "a tensor's rows are not whole blocks")
                    .Of(std::move(name))
                    .Expected("a last dimension in multiples of " + std::to_string(type.block))
                    .Found(std::string(type.name) + " " + ToString(shape)));
  }
  uint64_t elements = 1, bits = 0;
  // Zero first: otherwise [2^40, 2^40, 0] would overflow and [0, 2^40, 2^40] would not.
  if (std::ranges::find(shape, uint64_t{0}) != shape.end()) elements = 0;
  bool overflow = false;
  for (const uint64_t dim : shape) {
    if (elements != 0) overflow |= __builtin_mul_overflow(elements, dim, &elements);
  }
  overflow |= __builtin_mul_overflow(elements / type.block, type.block_bits, &bits);
  if (overflow) {
    return Fail(Error(ErrorCode::kSizeOverflow, "a tensor's size overflows 64 bits")
                    .Of(std::move(name))
                    .Found(std::string(type.name) + " " + ToString(shape)));
  }
  if (bits % 8 != 0) {
    return Fail(Error(ErrorCode::kPartialByte, "a tensor does not fill whole bytes")
                    .Of(std::move(name))
                    .Found(std::string(type.name) + " " + ToString(shape) + ", " +
                           std::to_string(bits) + " bits"));
  }
  return TensorInfo(std::move(name), dtype, std::move(shape), elements, bits / 8);
}

std::string TensorInfo::Describe() const {
  return std::string(tessera::Name(dtype_)) + " " + ToString(shape_);
}

Result<TensorView> TensorView::Make(const TensorInfo& info, std::span<const std::byte> data) {
  if (data.size() != info.bytes()) {
    return Fail(Error(ErrorCode::kSizeMismatch, "a tensor's bytes do not match its shape")
                    .Of(info.name())
                    .Expected(std::to_string(info.bytes()) + " bytes for " + info.Describe())
                    .Found(std::to_string(data.size()) + " bytes"));
  }
  return TensorView(info, data);
}

}  // namespace tessera
