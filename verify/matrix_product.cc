#include "verify/matrix_product.h"

#include <cblas.h>
#include <dlfcn.h>

#include <limits>
#include <string>

namespace tessera {
namespace {

// OpenBLAS starts its threads as soon as it is loaded, and complains on stderr where it may not. A
// program that never multiplies, as most commands do not, should not have them.
constexpr const char* kLibrary = "libopenblas.so.0";

blasint ToInt(uint64_t size) {
  TESSERA_CHECK(size <= static_cast<uint64_t>(std::numeric_limits<blasint>::max()));
  return static_cast<blasint>(size);
}

struct Blas {
  decltype(&cblas_sgemm) sgemm = nullptr;
  decltype(&cblas_dgemm) dgemm = nullptr;
  std::string error;  // why it is not there
};

template <class Function>
void Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
}

Blas Load() {
  Blas blas;
  void* const library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  decltype(&openblas_set_num_threads) set_num_threads = nullptr;
  if (library != nullptr) {
    Find(library, "cblas_sgemm", blas.sgemm);
    Find(library, "cblas_dgemm", blas.dgemm);
    Find(library, "openblas_set_num_threads", set_num_threads);
  }
  if (blas.sgemm != nullptr && blas.dgemm != nullptr && set_num_threads != nullptr) {
    set_num_threads(1);
    return blas;
  }
  const char* reason = ::dlerror();
  blas.error = reason == nullptr ? "it has other functions" : reason;
  return blas;
}

const Blas& Loaded() {
  static const Blas blas = Load();
  return blas;
}

void Gemm(CBLAS_TRANSPOSE transposed, MatrixView<const float> a, MatrixView<const float> b,
          MatrixView<float> c) {
  Loaded().sgemm(CblasRowMajor, CblasNoTrans, transposed, ToInt(c.rows), ToInt(c.cols),
                 ToInt(a.cols), 1, a.data, ToInt(a.stride), b.data, ToInt(b.stride), 0, c.data,
                 ToInt(c.stride));
}

void Gemm(CBLAS_TRANSPOSE transposed, MatrixView<const double> a, MatrixView<const double> b,
          MatrixView<double> c) {
  Loaded().dgemm(CblasRowMajor, CblasNoTrans, transposed, ToInt(c.rows), ToInt(c.cols),
                 ToInt(a.cols), 1, a.data, ToInt(a.stride), b.data, ToInt(b.stride), 0, c.data,
                 ToInt(c.stride));
}

template <class T>
void CheckedGemm(bool transposed, MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c) {
  TESSERA_CHECK(a.rows == c.rows && a.cols == (transposed ? b.cols : b.rows));
  TESSERA_CHECK(c.cols == (transposed ? b.rows : b.cols));
  if (c.rows == 0 || c.cols == 0) return;
  TESSERA_CHECK(Loaded().error.empty());
  Gemm(transposed ? CblasTrans : CblasNoTrans, a, b, c);
}

}  // namespace

Result<void> LoadMatrixProducts() {
  if (Loaded().error.empty()) return {};
  return Fail(Error(ErrorCode::kNotFound, "OpenBLAS, which multiplies matrices, cannot be loaded")
                  .In(kLibrary)
                  .Found(Loaded().error)
                  .Next("Install libopenblas."));
}

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
