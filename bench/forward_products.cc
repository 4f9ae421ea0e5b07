// How near the products of a forward pass come to OpenBLAS's own peak: panels of weights as a
// linear cuts them, times some tokens, in turns with square matrices of 2048. One core, thread
// time, the best of several turns.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <vector>

#include "verify/linear.h"
#include "verify/matrix_product.h"

namespace tessera {
namespace {

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Matrix<float> Random(uint64_t rows, uint64_t cols) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  Matrix<float> matrix(rows, cols);
  for (float& value : matrix.values()) value = normal(generator);
  return matrix;
}

// Of weight [rows, cols] times tokens [tokens, cols].
class Product {
 public:
  Product(uint64_t rows, uint64_t cols, uint64_t tokens)
      : weight_(Random(rows, cols)), input_(Random(tokens, cols)), out_(rows, tokens) {}

  // Runs about as long as any other product; keeps the best rate, in F32 operations a second.
  void Turn() {
    constexpr double kOperations = 2e10;
    const double once = 2.0 * static_cast<double>(weight_.rows() * weight_.cols() * input_.rows());
    const int runs = std::max(1, static_cast<int>(kOperations / once));
    const double begin = ThreadSeconds();
    for (int i = 0; i < runs; ++i) {
      MultiplyTransposed(weight_.view(), input_.view(), out_.view());
    }
    best_ = std::max(best_, once * runs / (ThreadSeconds() - begin));
  }

  double best() const { return best_; }

 private:
  Matrix<float> weight_, input_, out_;
  double best_ = 0;
};

void Run() {
  constexpr uint64_t kSquare = 2048, kTurns = 8;
  // What goes into DeepSeek-V3's linears: q_b, down of an expert, most others, o, dense down.
  constexpr uint64_t kColumns[] = {512, 1536, 2048, 7168, 16384, 18432};
  constexpr uint64_t kTokens[] = {16, 64, 128, 512};
  Product square(kSquare, kSquare, kSquare);
  std::vector<Product> products;
  for (const uint64_t columns : kColumns) {
    for (const uint64_t tokens : kTokens)
      products.emplace_back(PanelRows(columns), columns, tokens);
  }
  for (uint64_t turn = 0; turn < kTurns; ++turn) {
    square.Turn();
    for (Product& product : products) product.Turn();
  }
  std::printf("2048 x 2048 x 2048: %.1f GFLOP/s on one core\n", square.best() * 1e-9);
  std::printf("panel            16 tokens       64      128      512   of that\n");
  auto product = products.begin();
  for (const uint64_t columns : kColumns) {
    std::printf("%4lu x %5lu  ", static_cast<unsigned long>(PanelRows(columns)),
                static_cast<unsigned long>(columns));
    for (size_t i = 0; i < std::size(kTokens); ++i, ++product) {
      std::printf("     %4.2f", product->best() / square.best());
    }
    std::printf("\n");
  }
}

}  // namespace
}  // namespace tessera

int main() { tessera::Run(); }
