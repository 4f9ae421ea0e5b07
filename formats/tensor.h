// A tensor's name, type and shape, with its size proven not to overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/dtype.h"
#include "formats/result.h"

namespace tessera {

using Shape = std::vector<uint64_t>;

inline constexpr size_t kMaxRank = 64;
inline constexpr uint64_t kMaxDim = (uint64_t{1} << 48) - 1;

// "[7168, 2048]"
std::string ToString(const Shape& shape);

// Row-major and dense. Immutable: bytes() and elements() were computed without overflow by Make.
class TensorInfo {
 public:
  // Fails with kRankTooLarge, kBadShape (a dimension over kMaxDim, rows of a block type that are
  // not whole blocks), kSizeOverflow, or kPartialByte when a sub-byte type does not fill whole
  // bytes. A zero dimension gives zero elements whatever its place.
  static Result<TensorInfo> Make(std::string name, Dtype dtype, Shape shape);

  const std::string& name() const { return name_; }
  Dtype dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  uint64_t elements() const { return elements_; }
  uint64_t bytes() const { return bytes_; }

  // "F8_E4M3 [7168, 2048]"
  std::string Describe() const;

  friend bool operator==(const TensorInfo&, const TensorInfo&) = default;

 private:
  TensorInfo(std::string name, Dtype dtype, Shape shape, uint64_t elements, uint64_t bytes)
      : name_(std::move(name)),
        shape_(std::move(shape)),
        elements_(elements),
        bytes_(bytes),
        dtype_(dtype) {}

  std::string name_;
  Shape shape_;
  uint64_t elements_;
  uint64_t bytes_;
  Dtype dtype_;
};

// A tensor together with its bytes, which it borrows; the size is checked once, here.
class TensorView {
 public:
  static Result<TensorView> Make(const TensorInfo& info, std::span<const std::byte> data);

  const TensorInfo& info() const { return *info_; }
  std::span<const std::byte> data() const { return data_; }

 private:
  TensorView(const TensorInfo& info, std::span<const std::byte> data) : info_(&info), data_(data) {}

  const TensorInfo* info_;
  std::span<const std::byte> data_;
};

}  // namespace tessera
