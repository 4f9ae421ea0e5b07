#include "verify/linear.h"

#include <algorithm>

#include "verify/matrix_product.h"

namespace tessera {
namespace {

// In squares that stay in cache.
void Transpose(ConstMatrix from, MatrixView<float> to) {
  constexpr uint64_t kSide = 32;
  for (uint64_t i = 0; i < to.rows; i += kSide) {
    for (uint64_t k = 0; k < to.cols; k += kSide) {
      for (uint64_t row = i; row < std::min(i + kSide, to.rows); ++row) {
        for (uint64_t col = k; col < std::min(k + kSide, to.cols); ++col) {
          to.row(row)[col] = from.row(col)[row];
        }
      }
    }
  }
}

}  // namespace

uint64_t PanelRows(uint64_t cols) {
  // Whole FP8 blocks, so that no row is decoded twice.
  constexpr uint64_t kBlock = 128;
  const uint64_t blocks = kPanelValues / std::max<uint64_t>(cols, 1) / kBlock;
  return std::clamp<uint64_t>(blocks, 1, kMaxPanelRows / kBlock) * kBlock;
}

Result<void> ApplyLinear(const ForwardContext& context, const TensorRole& weight, ConstMatrix x,
                         MatrixView<float> y) {
  const StoredWeight& stored = context.weights.Of(weight);
  TESSERA_CHECK(x.cols == stored.cols && y.cols == stored.rows && x.rows == y.rows);
  if (context.observer) context.observer(weight, x);
  Matrix<float> quantized;
  if (context.arithmetic == Arithmetic::kFp8 && context.weights.IsFp8(weight)) {
    quantized = Matrix<float>(x.rows, x.cols);
    context.threads.ForEach(x.rows, [&](size_t i) {
      QuantizeActivations(x.Rows(i, i + 1), context.config.ue8m0_activations,
                          quantized.view().Rows(i, i + 1));
    });
    x = quantized.view();
  }
  const uint64_t panel = PanelRows(stored.cols);
  const uint64_t panels = (stored.rows + panel - 1) / panel;
  return context.threads.TryForEach(panels, [&](size_t i) -> Result<void> {
    thread_local std::vector<float> values, product;
    const RowRange rows{i * panel, std::min((i + 1) * panel, stored.rows)};
    values.resize(rows.size() * stored.cols);
    TESSERA_TRY(context.weights.ReadRows(weight, rows, values));
    // W x^T rather than x W^T: OpenBLAS takes a few tokens up to twice as fast on this side.
    product.resize(rows.size() * x.rows);
    const MatrixView<float> transposed{product.data(), rows.size(), x.rows, x.rows};
    MultiplyTransposed({values.data(), rows.size(), stored.cols, stored.cols}, x, transposed);
    const MatrixView<float> out = y.Cols(rows.begin, rows.end);
    Transpose(transposed, out);
    for (uint64_t row = 0; row < out.rows; ++row) Round(context.arithmetic, out.Row(row));
    return {};
  });
}

Result<Matrix<float>> Linear(const ForwardContext& context, const TensorRole& weight,
                             ConstMatrix x) {
  Matrix<float> y(x.rows, context.weights.Of(weight).rows);
  TESSERA_TRY(ApplyLinear(context, weight, x, y.view()));
  return y;
}

Result<void> ApplyRmsNorm(const ForwardContext& context, const TensorRole& norm, double eps,
                          ConstMatrix x, MatrixView<float> out) {
  TESSERA_ASSIGN(const std::vector<float> weight, context.weights.ReadAll(norm));
  context.threads.ForEach(
      x.rows, [&](size_t i) { RmsNorm(context.arithmetic, x.Row(i), weight, eps, out.Row(i)); });
  return {};
}

}  // namespace tessera
