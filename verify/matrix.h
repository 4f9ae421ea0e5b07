// Row-major matrices: a view with a stride, and one that owns its elements.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace tessera {

template <class T>
struct MatrixView {
  T* data = nullptr;
  uint64_t rows = 0, cols = 0;
  uint64_t stride = 0;  // elements from one row to the next

  T* row(uint64_t i) const { return data + i * stride; }
  std::span<T> Row(uint64_t i) const { return {row(i), cols}; }
  MatrixView Rows(uint64_t begin, uint64_t end) const {
    return {row(begin), end - begin, cols, stride};
  }
  MatrixView Cols(uint64_t begin, uint64_t end) const {
    return {data + begin, rows, end - begin, stride};
  }
  operator MatrixView<const T>() const
    requires(!std::is_const_v<T>)
  {
    return {data, rows, cols, stride};
  }
};

using ConstMatrix = MatrixView<const float>;

// Made without a value: whoever makes one fills it.
template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(uint64_t rows, uint64_t cols)
      : data_(std::make_unique_for_overwrite<T[]>(rows * cols)), rows_(rows), cols_(cols) {}

  uint64_t rows() const { return rows_; }
  uint64_t cols() const { return cols_; }
  MatrixView<T> view() { return {data_.get(), rows_, cols_, cols_}; }
  MatrixView<const T> view() const { return {data_.get(), rows_, cols_, cols_}; }
  std::span<T> values() { return {data_.get(), rows_ * cols_}; }
  std::span<const T> values() const { return {data_.get(), rows_ * cols_}; }

 private:
  std::unique_ptr<T[]> data_;
  uint64_t rows_ = 0, cols_ = 0;
};

}  // namespace tessera
