#include "verify/matrix_product.h"

#include <cblas.h>

#include <limits>

#include "formats/result.h"

namespace tessera {
namespace {

blasint ToInt(uint64_t size) {
  TESSERA_CHECK(size <= static_cast<uint64_t>(std::numeric_limits<blasint>::max()));
  return static_cast<blasint>(size);
}

void UseOneThread() {
  static const bool done = (openblas_set_num_threads(1), true);
  static_cast<void>(done);
}

void Gemm(CBLAS_TRANSPOSE transposed, MatrixView<const float> a, MatrixView<const float> b,
          MatrixView<float> c) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed, ToInt(c.rows), ToInt(c.cols), ToInt(a.cols),
              1, a.data, ToInt(a.stride), b.data, ToInt(b.stride), 0, c.data, ToInt(c.stride));
}

void Gemm(CBLAS_TRANSPOSE transposed, MatrixView<const double> a, MatrixView<const double> b,
          MatrixView<double> c) {
  cblas_dgemm(CblasRowMajor, CblasNoTrans, transposed, ToInt(c.rows), ToInt(c.cols), ToInt(a.cols),
              1, a.data, ToInt(a.stride), b.data, ToInt(b.stride), 0, c.data, ToInt(c.stride));
}

template <class T>
void CheckedGemm(bool transposed, MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c) {
  TESSERA_CHECK(a.rows == c.rows && a.cols == (transposed ? b.cols : b.rows));
  TESSERA_CHECK(c.cols == (transposed ? b.rows : b.cols));
  if (c.rows == 0 || c.cols == 0) return;
  UseOneThread();
  Gemm(transposed ? CblasTrans : CblasNoTrans, a, b, c);
}

}  // namespace

void MultiplyTransposed(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c) {
  CheckedGemm(true, a, b, c);
}
void MultiplyTransposed(MatrixView<const double> a, MatrixView<const double> b,
                        MatrixView<double> c) {
  CheckedGemm(true, a, b, c);
}
void Multiply(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c) {
  CheckedGemm(false, a, b, c);
}
void Multiply(MatrixView<const double> a, MatrixView<const double> b, MatrixView<double> c) {
  CheckedGemm(false, a, b, c);
}

}  // namespace tessera
