// Matrix products by OpenBLAS, on the calling thread alone: parallelism is the caller's. The bits
// of a product depend on its sizes and on the CPU, not on what else runs.
#pragma once

#include "formats/result.h"
#include "verify/matrix.h"

namespace tessera {

// Loads OpenBLAS, if it is not yet. The first product would, but cannot say what is wrong.
Result<void> LoadMatrixProducts();

// c = a b^T: the product with a weight as it is stored, [out, in].
void MultiplyTransposed(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c);
void MultiplyTransposed(MatrixView<const double> a, MatrixView<const double> b,
                        MatrixView<double> c);

// c = a b
void Multiply(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c);
void Multiply(MatrixView<const double> a, MatrixView<const double> b, MatrixView<double> c);

// OpenBLAS has buffers for this many callers at once, and ends the program when there are more.
inline constexpr unsigned kMaxMultiplyingThreads = 64;

}  // namespace tessera
