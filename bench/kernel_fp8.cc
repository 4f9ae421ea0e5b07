// FP8 -> BF16 against memcpy of the same input bytes, within L2 and from DRAM, on one core: input
// bytes per second of both, and `of_memcpy`, their ratio.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "quant/kernels/fp8.h"
#include "quant/kernels/target.h"

namespace tessera {
namespace {

constexpr uint32_t kBlock = 128;
constexpr size_t kCols = 2048;

struct Matrix {
  explicit Matrix(size_t rows) : rows(rows), codes(rows * kCols), out(rows * kCols) {
    std::mt19937_64 random(1);
    std::normal_distribution<float> scale(1.0f, 0.2f);
    for (uint8_t& code : codes) {
      // No NaN: real weights have none, and they would take the slow path.
      code = static_cast<uint8_t>(random() % 0x7F | (random() % 2 << 7));
    }
    scales.resize(rows / kBlock * (kCols / kBlock) + kCols / kBlock);
    for (float& s : scales) s = 1e-4f * scale(random);
  }

  size_t rows;
  std::vector<uint8_t> codes;
  std::vector<uint16_t> out;
  std::vector<float> scales;
};

void Dequant(Matrix& m) {
  for (size_t row = 0; row < m.rows; row += kBlock) {
    const kernels::Fp8Rows rows{m.codes.data() + row * kCols,
                                std::min<size_t>(kBlock, m.rows - row), kCols,
                                m.scales.data() + row / kBlock * (kCols / kBlock), kBlock};
    benchmark::DoNotOptimize(kernels::Fp8ToBf16(rows, m.out.data() + row * kCols));
  }
  benchmark::ClobberMemory();
}

void Copy(Matrix& m) {
  std::memcpy(m.out.data(), m.codes.data(), m.codes.size());
  benchmark::DoNotOptimize(m.out.data());
  benchmark::ClobberMemory();
}

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begin, size_t repeats) {
  return std::chrono::duration<double>(Clock::now() - begin).count() / static_cast<double>(repeats);
}

// The two take turns and the best turn of each counts, so that a busy machine disturbs neither
// more than the other.
void Run(benchmark::State& state, SimdTarget target, size_t rows) {
  const ScopedTarget use(target);
  Matrix m(rows);
  const size_t repeats = std::max<size_t>(1, (size_t{8} << 20) / m.codes.size());
  double best_copy = 1e9, best_dequant = 1e9;
  for (auto _ : state) {
    auto begin = Clock::now();
    for (size_t i = 0; i < repeats; ++i) Copy(m);
    best_copy = std::min(best_copy, SecondsSince(begin, repeats));
    begin = Clock::now();
    for (size_t i = 0; i < repeats; ++i) Dequant(m);
    best_dequant = std::min(best_dequant, SecondsSince(begin, repeats));
  }
  const auto bytes = static_cast<double>(m.codes.size());
  state.counters["memcpy"] = {bytes / best_copy, {}, benchmark::Counter::kIs1024};
  state.counters["dequant"] = {bytes / best_dequant, {}, benchmark::Counter::kIs1024};
  state.counters["of_memcpy"] = best_copy / best_dequant;
}

void Register() {
  for (const SimdTarget target : SupportedTargets()) {
    const std::string name = "fp8_to_bf16/" + std::string(target.name());
    // 128 KiB in, 256 KiB out; 64 MiB in, 128 MiB out.
    benchmark::RegisterBenchmark((name + "/L2").c_str(), Run, target, size_t{64});
    benchmark::RegisterBenchmark((name + "/DRAM").c_str(), Run, target, size_t{32768});
  }
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  tessera::Register();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
