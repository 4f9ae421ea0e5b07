#include "verify/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "verify/arithmetic.h"
#include "verify/matrix_product.h"

namespace tessera {
namespace {

template <class T>
void RoundRows(bool bf16, MatrixView<T> x) {
  if constexpr (std::is_same_v<T, float>) {
    if (!bf16) return;
    for (uint64_t i = 0; i < x.rows; ++i) RoundToBf16(x.Row(i));
  }
}

// Scores of the query at `position`, for the keys up to it, become probabilities; others 0.
template <class T>
void Softmax(const HeadInput<T>& head, uint64_t position, std::span<T> scores) {
  const auto attends = [&](uint64_t key) {
    return key <= position && (head.selection == nullptr || head.selection->Has(position, key));
  };
  double max = -std::numeric_limits<double>::infinity();
  for (uint64_t key = 0; key <= position; ++key) {
    if (attends(key)) max = std::max(max, double{scores[key]});
  }
  double sum = 0;
  for (uint64_t key = 0; key < scores.size(); ++key) {
    const double p = attends(key) ? std::exp(double{scores[key]} - max) : 0.0;
    sum += p;
    scores[key] = static_cast<T>(p);
  }
  for (T& p : scores) p = static_cast<T>(double{p} / sum);
}

// Raw scores [queries, keys] of the queries from `first` on become probabilities.
template <class T>
void FinishScores(const HeadInput<T>& head, uint64_t first, MatrixView<T> scores) {
  RoundRows(head.bf16, scores);
  for (uint64_t i = 0; i < scores.rows; ++i) {
    for (T& score : scores.Row(i)) score = static_cast<T>(double{score} * head.scale);
  }
  RoundRows(head.bf16, scores);
  for (uint64_t i = 0; i < scores.rows; ++i) Softmax(head, first + i, scores.Row(i));
  RoundRows(head.bf16, scores);
}

// Calls `block(begin, end, scores)` with scores [end - begin, end] to fill and use.
template <class T, class Block>
void ForEachQueryBlock(uint64_t tokens, const Block& block) {
  Matrix<T> buffer(std::min(kQueryBlock, tokens), tokens);
  for (uint64_t begin = 0; begin < tokens; begin += kQueryBlock) {
    const uint64_t end = std::min(begin + kQueryBlock, tokens);
    block(begin, end, buffer.view().Rows(0, end - begin).Cols(0, end));
  }
}

}  // namespace

template <class T>
void AttendNaive(const HeadInput<T>& head, MatrixView<T> out) {
  const uint64_t tokens = head.query.rows, nope = head.kv_b.rows - out.cols;
  Matrix<T> keys(tokens, head.query.cols), values(tokens, out.cols);
  MultiplyTransposed(head.latent, head.kv_b.Rows(0, nope), keys.view().Cols(0, nope));
  MultiplyTransposed(head.latent, head.kv_b.Rows(nope, head.kv_b.rows), values.view());
  for (uint64_t i = 0; i < tokens; ++i) {
    std::ranges::copy(head.k_rope.Row(i), keys.view().row(i) + nope);
  }
  RoundRows(head.bf16, keys.view());
  RoundRows(head.bf16, values.view());
  ForEachQueryBlock<T>(tokens, [&](uint64_t begin, uint64_t end, MatrixView<T> scores) {
    MultiplyTransposed(head.query.Rows(begin, end), keys.view().Rows(0, end), scores);
    FinishScores(head, begin, scores);
    Multiply(scores, values.view().Rows(0, end), out.Rows(begin, end));
    if (head.mixed.data == nullptr) return;
    Multiply(scores, head.latent.Rows(0, end), head.mixed.Rows(begin, end));
  });
  RoundRows(head.bf16, out);
}

template <class T>
void AttendAbsorbed(const HeadInput<T>& head, MatrixView<T> out) {
  const uint64_t tokens = head.query.rows, nope = head.kv_b.rows - out.cols;
  const MatrixView<const T> q_rope = head.query.Cols(nope, head.query.cols);
  Matrix<T> query(tokens, head.latent.cols), own;
  if (head.mixed.data == nullptr) own = Matrix<T>(tokens, head.latent.cols);
  const MatrixView<T> mixed = head.mixed.data == nullptr ? own.view() : head.mixed;
  Multiply(head.query.Cols(0, nope), head.kv_b.Rows(0, nope), query.view());
  RoundRows(head.bf16, query.view());
  Matrix<T> positional(std::min(kQueryBlock, tokens), tokens);
  ForEachQueryBlock<T>(tokens, [&](uint64_t begin, uint64_t end, MatrixView<T> scores) {
    const MatrixView<T> extra = positional.view().Rows(0, end - begin).Cols(0, end);
    MultiplyTransposed(query.view().Rows(begin, end), head.latent.Rows(0, end), scores);
    MultiplyTransposed(q_rope.Rows(begin, end), head.k_rope.Rows(0, end), extra);
    RoundRows(head.bf16, scores);
    RoundRows(head.bf16, extra);
    for (uint64_t i = 0; i < scores.rows; ++i) {
      for (uint64_t k = 0; k < end; ++k) scores.row(i)[k] += extra.row(i)[k];
    }
    FinishScores(head, begin, scores);
    Multiply(scores, head.latent.Rows(0, end), mixed.Rows(begin, end));
  });
  RoundRows(head.bf16, mixed);
  MultiplyTransposed(mixed, head.kv_b.Rows(nope, head.kv_b.rows), out);
  RoundRows(head.bf16, out);
}

template void AttendNaive<float>(const HeadInput<float>&, MatrixView<float>);
template void AttendNaive<double>(const HeadInput<double>&, MatrixView<double>);
template void AttendAbsorbed<float>(const HeadInput<float>&, MatrixView<float>);
template void AttendAbsorbed<double>(const HeadInput<double>&, MatrixView<double>);

}  // namespace tessera
